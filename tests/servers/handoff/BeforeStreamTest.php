<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\Server;
use PhpSse\Tests\Support\Proc;

/** Whatever the page did before it streams has a defined outcome. */
final class BeforeStreamTest extends ServerTestCase
{
    private const GZIP = ['Accept-Encoding' => 'gzip, deflate'];

    /** @return iterable<string, array{string, string, array<string, string|int>}> server, deeds, settings */
    public static function harmlessDeeds(): iterable
    {
        $deeds = [
            'an open session' => ['session', []],
            'nested output buffers' => ['buffers', []],
            'a buffer with a callback' => ['callback-buffer,echo', []],
            'zlib.output_compression at run time' => ['zlib', []],
            'zlib.output_compression in php.ini' => ['', ['zlib.output_compression' => 'On']],
            'zlib.output_compression and early output' => ['echo', ['zlib.output_compression' => 'On']],
            'ob_gzhandler' => ['gzhandler', []],
            'ob_gzhandler and early output' => ['gzhandler,echo', []],
            'early output in the buffer of php.ini' => ['echo', ['output_buffering' => 4096]],
            'a content type of its own' => ['own-type', []],
            'a content length' => ['length', []],
            'another status' => ['status', []],
            'a status line' => ['status-line', []],
            'a status line without its words' => ['odd-status-line', []],
            'a status as CGI scripts say it' => ['cgi-status', []],
            'a redirect' => ['redirect', []],
            'another body by the web server' => ['other-body', []],
            'another framing' => ['framing', []],
            'another protocol' => ['connection', []],
            'leave to keep it' => ['cached', []],
            'a callback for headers' => ['head-callback', []],
            'an old charset in php.ini' => ['', ['default_charset' => 'ISO-8859-1']],
            'an old charset, and a type' => ['own-type', ['default_charset' => 'ISO-8859-1', 'default_mimetype' => 'text/plain']],
            'all at once' => ['session,buffers,gzhandler,echo,own-type,length', ['output_buffering' => 4096]],
        ];
        foreach ([...Catalogue::EACH_SAPI, ...Catalogue::POLYFILL] as $server) {
            foreach ($deeds as $title => [$deed, $ini]) {
                yield "$server, $title" => [$server, $deed, $ini];
            }
        }
    }

    /**
     * @dataProvider harmlessDeeds
     * @param array<string, string|int> $ini
     */
    public function testAPureStreamFollows(string $name, string $deed, array $ini): void
    {
        $server = $this->serve($name, $ini);

        $stream = $server->client->openOne("/stream.php?topics=news&before=$deed", self::GZIP);

        $this->assertPureStream($server, $stream);
        $stays = in_array($name, Catalogue::POLYFILL, true);
        if ($stays) {
            $stream->close();
        }
        $server->awaitLog($stays ? 'sse_stream returned false' : 'sse_stream returned true');
    }

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each(Catalogue::EACH_SAPI);
    }

    /** @dataProvider servers */
    public function testHeadersOfThePageAreKept(string $name): void
    {
        $server = $this->serve($name);

        $stream = $server->client->openOne('/stream.php?topics=news&before=header');

        self::assertSame('kept', $stream->response->headers['x-page'] ?? null);
        $this->assertPureStream($server, $stream);
    }

    /**
     * What the script has started in the background goes on; were the connection open there as well, it would never end for
     * its client.
     *
     * @dataProvider servers
     */
    public function testAProgramInTheBackgroundDoesNotKeepTheConnectionOpen(string $name): void
    {
        $server = $this->serve($name);
        $stream = $server->client->openOne('/stream.php?topics=news&before=background');
        $server->awaitLog('in the background: ');
        preg_match('/in the background: (\d+)/', $server->phpLog(), $found);
        $program = (int) $found[1];

        try {
            // A worker that had not let go yet would take the stream to the next hub.
            $server->awaitOpenStreams(1);
            posix_kill($server->hub(), SIGKILL);
            $server->client->await($stream, static fn (Stream $stream): bool => $stream->ended, 10.0, 'the stream has ended');
            self::assertTrue(Proc::isAlive($program));
        } finally {
            posix_kill($program, SIGKILL);
        }
    }

    /** @dataProvider servers */
    public function testUnbufferedOutputIsAnExceptionAndThePageGoesOn(string $name): void
    {
        $server = $this->serve($name);

        $response = $server->client->request('/stream.php?topics=news&before=echo');

        self::assertStringStartsWith('early output[caught SseException: ', $response->body);
        self::assertSame(0, $server->openStreams());
    }

    /** @dataProvider servers */
    public function testSentHeadersAreAnExceptionAndThePageGoesOn(string $name): void
    {
        $server = $this->serve($name, ['output_buffering' => 4096]);

        // The buffers hold what is printed after the headers were sent: that too must be untouched.
        $response = $server->client->request('/stream.php?topics=news&before=send,buffers');

        self::assertStringStartsWith(
            'sent output, output of level 1output of level 2output of level 3[caught SseException: ',
            $response->body,
        );
        self::assertSame(0, $server->openStreams());
    }

    /** @dataProvider servers */
    public function testAnExceptionLeavesSessionAndBuffersAsTheyWere(string $name): void
    {
        $server = $this->serve($name);
        $cookie = ['Cookie' => 'PHPSESSID=0123456789abcdef0123456789'];

        $response = $server->client->request('/stream.php?topics=news&before=session,send,buffers', $cookie);

        self::assertStringContainsString('output of level 1output of level 2output of level 3', $response->body);
        self::assertStringContainsString('[caught SseException: ', $response->body);
        self::assertSame('{"streams":1,"visits":1}', $server->client->request('/session.php', $cookie)->body);
    }

    /** @dataProvider servers */
    public function testACallWithinAnOutputCallbackIsAnException(string $name): void
    {
        $server = $this->serve($name);

        $response = $server->client->request('/in-callback.php');

        self::assertSame('the page[caught SseException]', $response->body);
    }

    /** @dataProvider servers */
    public function testAHeadRequestGetsTheHeadersAndNoStream(string $name): void
    {
        $server = $this->serve($name);

        $response = $server->client->request('/stream.php?topics=news', [], 'HEAD');

        self::assertSame(200, $response->status);
        self::assertStringStartsWith('text/event-stream', $response->headers['content-type'] ?? '');
        self::assertSame('', $response->body);
        $server->awaitLog('sse_stream returned false');
        self::assertSame(0, $server->openStreams());
    }

    /** @return array<string, array{string}> */
    public static function fpmServers(): array
    {
        return Catalogue::each(['nginx-fpm-unix', 'nginx-fpm-tcp-keep']);
    }

    /** @dataProvider fpmServers */
    public function testAFinishedRequestIsAnException(string $name): void
    {
        $server = $this->serve($name);

        $response = $server->client->request('/stream.php?topics=news&before=finish');

        self::assertSame('', $response->body);
        $server->awaitLog('sse_stream threw SseException: ');
        self::assertSame(0, $server->openStreams());
    }

    private function assertPureStream(Server $server, Stream $stream): void
    {
        $server->publish('news', 'event', ['id' => '1-1']);
        $server->client->awaitEvents($stream, 1);
        $headers = $stream->response->headers;

        self::assertSame(200, $stream->response->status, $stream->response->summary());
        self::assertSame("retry: 2000\n\nid: 1-1\ndata: event\n\n", self::withoutCursor($stream->response->body));
        self::assertSame('text/event-stream; charset=utf-8', $headers['content-type'] ?? '(no type)');
        self::assertSame('no-cache, no-transform', $headers['cache-control'] ?? '(none)');
        $unfit = ['content-encoding', 'content-length', 'content-range', 'etag', 'location', 'status', 'trailer', 'upgrade'];
        self::assertSame([], array_values(array_intersect($unfit, array_keys($headers))));
        self::assertSame([], preg_grep('/^x-(accel-(?!buffering)|sendfile)/', array_keys($headers)));
    }
}
