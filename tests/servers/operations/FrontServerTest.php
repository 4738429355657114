<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Process;
use PhpSse\Tests\Server\Server;
use PhpSse\Tests\Support\Deadline;
use PhpSse\Tests\Support\Page;

/** Web servers in front of PHP with the lines of the page "Servers" as they are printed: what they need, and what it does. */
final class FrontServerTest extends ServerTestCase
{
    private const PAGE = 'docs/operations/servers.md';
    private const WITH_HEARTBEAT = ['sse.heartbeat' => 1];
    private const WITHOUT_HEARTBEAT = ['sse.heartbeat' => 3600];

    /** @return array<string, array{string, array<string, int>, array<string, string>}> */
    public static function handOffs(): array
    {
        return [
            'lighttpd tells at a heartbeat that a client has left' => ['lighttpd-fpm', self::WITH_HEARTBEAT, self::lighttpd()],
            'HAProxy tells it at once' => ['haproxy-fpm', self::WITHOUT_HEARTBEAT, []],
            'HAProxy with PHP-FPM by TCP' => ['haproxy-fpm', self::WITHOUT_HEARTBEAT, ['listen' => 'tcp']],
        ];
    }

    /**
     * @dataProvider handOffs
     * @param array<string, int>    $settings
     * @param array<string, string> $options
     */
    public function testEventsComeAtOnceWorkersAreFreeAndAClientThatHasLeftIsNoticed(
        string $name,
        array $settings,
        array $options,
    ): void {
        $server = $this->serve($name, $settings, $options);

        // Three times as many as there are workers.
        $streams = $server->client->openMany(6, '/stream.php?topics=news');
        $this->assertEventsComeOneByOne($server, $streams);
        self::assertSame(6, $server->openStreams());
        self::assertSame(200, $server->client->request('/hello.php')->status);

        array_map(static fn (Stream $stream) => $stream->close(), $streams);
        $server->awaitOpenStreams(0, 15.0);
    }

    public function testModFcgidServesStreamsInItsWorkersAndLetsThemGoWhenTheirClientsHaveLeft(): void
    {
        ['apache' => [$lines]] = Page::blocks(self::PAGE, 'Apache with mod_fcgid');
        $server = $this->serve('apache-fcgid', self::WITH_HEARTBEAT, ['directives' => $lines]);

        $streams = $server->client->openMany(2, '/stream.php?topics=news');
        $this->assertEventsComeOneByOne($server, $streams);
        $body = $server->client->request('/hello.php')->body;
        self::assertContains((int) substr($body, strlen('hello from ')), $server->workers());

        array_map(static fn (Stream $stream) => $stream->close(), $streams);
        $server->awaitOpenStreams(0, 15.0);
    }

    /** @return array<string, array{string}> */
    public static function flushing(): array
    {
        return ['Apache that collects output' => ['off'], 'Apache that does not' => ['on']];
    }

    /** @dataProvider flushing */
    public function testModDeflateIsSwitchedOffForStreamsOnly(string $flush): void
    {
        ['apache' => $blocks] = Page::blocks(self::PAGE, 'Apache with PHP-FPM');
        $lines = array_values(array_filter($blocks, static fn (string $block): bool => str_contains($block, 'no-gzip')));
        $options = ['load' => 'filter,deflate,setenvif', 'directives' => "SetOutputFilter DEFLATE\n$lines[0]"];
        $server = $this->serve('apache-fcgi', self::WITHOUT_HEARTBEAT, $options + ['flushpackets' => $flush]);
        $gzip = ['Accept-Encoding' => 'gzip'];

        self::assertSame('gzip', $server->client->request('/hello.php', $gzip)->headers['content-encoding'] ?? null);
        $stream = $server->client->openOne('/stream.php?topics=news', $gzip);
        self::assertNull($stream->response->headers['content-encoding'] ?? null);
        $this->assertEventsComeOneByOne($server, [$stream]);
    }

    public function testCaddySendsEventsAtOnceOverHttp2AndTellsAtAHeartbeatThatAClientHasLeft(): void
    {
        $server = $this->serve('caddy-fpm', self::WITH_HEARTBEAT, ['tls' => 1]);
        $output = "{$server->folder->path}/log/curl.out";
        // As many on one connection as there are no workers for.
        $url = $server->url('/stream.php?topics=news&nth=') . '[1-6]';
        $curl = new Process(['curl', '-sikN', '--http2', '--parallel', $url], $output, name: 'curl');
        $count = static fn (string $text): int => substr_count((string) file_get_contents($output), $text);

        try {
            $server->awaitOpenStreams(6);
            foreach (['one', 'two', 'three'] as $event) {
                $server->publish('news', $event);
                Deadline::until(static fn (): bool => $count("data: $event\n\n") === 6, 20.0, "$event has come six times");
            }
            self::assertSame(6, $count('HTTP/2 200'));
        } finally {
            $curl->stop();
        }
        $server->awaitOpenStreams(0, 15.0);
    }

    /** @return array<string, string> */
    private static function lighttpd(): array
    {
        ['lighttpd' => [$lines]] = Page::blocks(self::PAGE, 'lighttpd with PHP-FPM');

        return ['directives' => $lines];
    }

    /**
     * Each before the next is published.
     *
     * @param list<Stream> $streams
     */
    private function assertEventsComeOneByOne(Server $server, array $streams): void
    {
        foreach (['one', 'two', 'three'] as $already => $event) {
            $server->publish('news', $event);
            foreach ($streams as $stream) {
                $server->client->awaitEvents($stream, $already + 1);
            }
        }
        foreach ($streams as $stream) {
            self::assertSame(['one', 'two', 'three'], $stream->data());
        }
    }
}
