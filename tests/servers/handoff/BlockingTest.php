<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\CommandLine;
use PhpSse\Tests\Server\Ini;
use PhpSse\Tests\Server\Php;
use PhpSse\Tests\Server\Process;

/** Where no connection can be handed over, the worker serves the stream itself: the same bytes, the same end. */
final class BlockingTest extends ServerTestCase
{
    private const BODY = "retry: 2000\n\nid: 1-1\ndata: event\n\n";

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each([...Catalogue::BLOCKING, ...Catalogue::POLYFILL]);
    }

    /** @dataProvider servers */
    public function testTheWorkerStaysWithItsStream(string $name): void
    {
        $server = $this->serve($name);
        $stream = $server->client->openOne('/stream.php?topics=news&after=wait-for-file&file=' . urlencode('/'));

        $server->publish('news', 'event', ['id' => '1-1']);
        $server->client->awaitEvents($stream, 1);

        self::assertSame(self::BODY, self::withoutCursor($stream->response->body));
        self::assertSame(1, $server->openStreams());
        self::assertStringNotContainsString('sse_stream returned', $server->phpLog());
    }

    /** @dataProvider servers */
    public function testAClientThatLeavesFreesTheWorkerWithoutAnEvent(string $name): void
    {
        $server = $this->serve($name, ['sse.heartbeat' => 0]);
        $stream = $server->client->openOne('/stream.php?topics=news');

        $stream->close();

        $server->awaitLog('sse_stream returned false');
        $server->awaitLog('the script has ended');
        self::assertSame(0, $server->openStreams());
    }

    /** @dataProvider servers */
    public function testAnotherRequestOfTheSameSessionIsNotBlocked(string $name): void
    {
        $server = $this->serve($name);
        $cookie = ['Cookie' => 'PHPSESSID=0123456789abcdef0123456789'];
        $server->client->openOne('/stream.php?topics=news&before=session', $cookie);

        self::assertSame('{"streams":1,"visits":1}', $server->client->request('/session.php', $cookie)->body);
    }

    /** @return iterable<string, array{string, string, array<string, string|int>}> */
    public static function harmlessDeeds(): iterable
    {
        $deeds = [
            'nested output buffers' => ['buffers', []],
            'zlib.output_compression' => ['', ['zlib.output_compression' => 'On']],
            'ob_gzhandler and early output' => ['gzhandler,echo', []],
            'a content length' => ['length', []],
            'output_buffering' => ['echo', ['output_buffering' => 4096]],
        ];
        foreach ([...Catalogue::BLOCKING, ...Catalogue::POLYFILL] as $server) {
            foreach ($deeds as $title => [$deed, $ini]) {
                yield "$server, $title" => [$server, $deed, $ini];
            }
        }
    }

    /**
     * @dataProvider harmlessDeeds
     * @param array<string, string|int> $ini
     */
    public function testEventsComeAtOnceWhateverThePageBuffered(string $name, string $deed, array $ini): void
    {
        $server = $this->serve($name, $ini);
        $stream = $server->client->openOne("/stream.php?topics=news&before=$deed", ['Accept-Encoding' => 'gzip']);

        $server->publish('news', 'event', ['id' => '1-1']);
        $server->client->awaitEvents($stream, 1);

        self::assertSame(self::BODY, self::withoutCursor($stream->response->body));
        self::assertArrayNotHasKey('content-encoding', $stream->response->headers);
    }

    public function testOneScriptMayKeepItsConnectionWhereOthersHandItOver(): void
    {
        $server = $this->serve('nginx-fpm-unix');

        $server->client->openOne('/stream.php?topics=news&detach=0');

        self::assertSame(1, $server->openStreams());
        self::assertStringNotContainsString('sse_stream returned', $server->phpLog());
    }

    public function testTheCommandLineWritesTheStreamToItsOutput(): void
    {
        $commandLine = $this->commandLine();
        $process = $commandLine->start('stream.php', ['news']);
        CommandLine::awaitOutput($process, "\n\n");

        $commandLine->run('publish-with-id.php', ['news', 'event', '1-1']);

        CommandLine::awaitOutput($process, "data: event\n\n");
        self::assertSame(self::BODY, self::withoutCursor($process->output()));
    }

    public function testCgiWritesHeadersAndTheStream(): void
    {
        $server = $this->serve('php-s');
        $log = "{$server->folder->path}/log/cgi.out";
        $cgi = new Process(
            [Php::cgi(), '-c', "{$server->folder->path}/php.ini"],
            $log,
            [
                'GATEWAY_INTERFACE' => 'CGI/1.1',
                'REDIRECT_STATUS' => '200',
                'REQUEST_METHOD' => 'GET',
                'QUERY_STRING' => 'topics=news',
                'SCRIPT_FILENAME' => "{$server->folder->path}/app/stream.php",
                'SERVER_PROTOCOL' => 'HTTP/1.1',
                'PHP_INI_SCAN_DIR' => "{$server->folder->path}/none",
            ],
            null,
            'php-cgi',
        );
        try {
            CommandLine::awaitOutput($cgi, "retry: 2000\nid: ");
            $server->publish('news', 'event', ['id' => '1-1']);
            CommandLine::awaitOutput($cgi, "data: event\n\n");
            [$head, $body] = explode("\r\n\r\n", $cgi->output(), 2);
        } finally {
            $cgi->stop();
        }

        self::assertStringContainsString('Content-Type: text/event-stream', $head);
        self::assertSame(self::BODY, self::withoutCursor($body));
        $server->awaitOpenStreams(0);
    }
}
