<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\Port;
use PhpSse\Tests\Server\Server;

/** What sse.adopt=1 does to a script that writes an event stream by itself (app/adopt/ticks.php), and what it leaves. */
final class AdoptTest extends ServerTestCase
{
    // Of php -S the one with several processes: a script that stays in its worker leaves none to a single one.
    private const SERVERS = ['nginx-fpm-unix', 'nginx-fpm-tcp-keep', 'apache-mod-php', 'php-s-workers'];

    private const TICKS = '/adopt/ticks.php';

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each(self::SERVERS);
    }

    /** @dataProvider servers */
    public function testASessionIsLetGoAtTheFirstSleep(string $name): void
    {
        $server = $this->site($name);
        $cookie = ['Cookie' => 'PHPSESSID=0123456789abcdef0123456789'];
        $stream = $this->ticking($server, 'before=session', $cookie);

        self::assertSame('{"streams":1,"visits":1}', $server->client->request('/session.php', $cookie)->body);
        self::assertFalse($stream->ended);
    }

    /** @return iterable<string, array{string, string, array<string, string|int>, string}> */
    public static function buffers(): iterable
    {
        $kinds = [
            'no buffer' => ['', [], 'early'],
            'output_buffering' => ['', ['output_buffering' => 4096], 'early'],
            'zlib.output_compression' => ['', ['zlib.output_compression' => 'On'], 'early'],
            'both' => ['', ['zlib.output_compression' => 'On', 'output_buffering' => 4096], 'early'],
            'output_buffering, and one of the script' => ['buffer', ['output_buffering' => 4096], 'early'],
            'a callback' => ['callback', ['output_buffering' => 4096], 'EARLY'],
        ];
        foreach (self::SERVERS as $server) {
            foreach ($kinds as $title => [$before, $ini, $early]) {
                yield "$server, $title" => [$server, $before, $ini, $early];
            }
        }
    }

    /**
     * @dataProvider buffers
     * @param array<string, string|int> $ini
     */
    public function testBuffersOfPhpItselfPassOnAtOnceWhatIsFlushed(
        string $name,
        string $before,
        array $ini,
        string $early,
    ): void {
        $server = $this->site($name, $ini);
        $stream = $this->ticking($server, "before=$before", ['Accept-Encoding' => 'gzip']);

        $this->state($server, 'second');
        $this->push($server);
        $server->client->awaitEvents($stream, 2);

        self::assertSame(": $early\n\ndata: first\n\ndata: second\n\n", $stream->response->body);
        self::assertArrayNotHasKey('content-encoding', $stream->response->headers);
        self::assertStringContainsString('no-cache', $stream->response->headers['cache-control']);
    }

    /** @return iterable<string, array{string, string, string}> */
    public static function wakes(): iterable
    {
        foreach (self::SERVERS as $server) {
            foreach (['trigger', 'publish', 'udp'] as $way) {
                foreach (['sleep', 'usleep', 'nanosleep'] as $pause) {
                    yield "$server, $pause, $way" => [$server, $pause, $way];
                }
            }
        }
    }

    /** @dataProvider wakes */
    public function testAWakeEndsASleep(string $name, string $pause, string $way): void
    {
        $udp = '127.0.0.1:' . Port::free('udp');
        $server = $this->site($name, ['sse.udp' => $udp]);
        $stream = $this->ticking($server, "pause=$pause");

        match ($way) {
            'trigger' => $this->push($server),
            'publish' => $server->publish('any.topic', 'event'),
            'udp' => stream_socket_sendto(stream_socket_client("udp://$udp"), 'WAKEUP'),
        };
        self::assertCount(2, $server->client->awaitEvents($stream, 2));

        $returned = ['sleep' => '0', 'usleep' => 'null', 'nanosleep' => 'true'][$pause];
        $server->awaitLog("tick 1 slept shorter, got $returned");
    }

    public function testAWakeReachesASingleProcessOfPhpToo(): void
    {
        $udp = '127.0.0.1:' . Port::free('udp');
        $server = $this->site('php-s', ['sse.udp' => $udp]);
        $stream = $this->ticking($server);

        stream_socket_sendto(stream_socket_client("udp://$udp"), 'WAKEUP some.topic');

        $server->client->awaitEvents($stream, 2);
        self::assertFalse($stream->ended);
    }

    public function testAWakeThatComesWhileTheScriptIsBusyIsNotLostAndSeveralAreOne(): void
    {
        $server = $this->site('nginx-fpm-unix', [], ['pm.max_children' => 3]);
        $stream = $this->ticking($server, 'between=busy');
        $server->awaitLog('busy after tick 1');

        $this->push($server);
        $server->publish('another', 'event');
        $this->push($server);
        $this->state($server, 'second');
        file_put_contents("{$server->folder->path}/data/go", '');

        $server->client->awaitEvents($stream, 2);
        $server->awaitLog('busy after tick 2');
        $this->state($server, 'third');
        $this->push($server);
        self::assertSame(['first', 'second', 'third'], array_slice($server->client->awaitEvents($stream, 3), 0, 3));
    }

    /** @dataProvider servers */
    public function testOnlyTheTopicsOfItsEntryWakeAScript(string $name): void
    {
        $server = $this->site($name, ['sse.adopt_topics' => 'chat.php=chat.**, adopt/t*.php=ticks.* site']);
        $stream = $this->ticking($server);

        $this->state($server, 'by another');
        $this->push($server, 'chat.general');
        $this->push($server, 'ticks.deep.down');
        $this->state($server, 'by its own');
        $this->push($server, 'ticks.one');

        self::assertSame(['first', 'by its own'], $server->client->awaitEvents($stream, 2));
    }

    /** @dataProvider servers */
    public function testAScriptEndsAsSoonAsItsClientHasLeft(string $name): void
    {
        $server = $this->site($name, ['sse.heartbeat' => 0]);
        $stream = $this->ticking($server);
        $server->awaitOpenStreams(1);

        $stream->close();

        $server->awaitLog('the script has ended, aborted 1');
        self::assertStringNotContainsString('tick 1 slept', $server->phpLog());
        $server->awaitOpenStreams(0);
    }

    /** @return array<string, array{string}> */
    public static function serversThatSayNothing(): array
    {
        return Catalogue::each(['apache-fcgi', 'caddy-fpm']);
    }

    /**
     * These keep their connection to PHP when the browser leaves: the next heartbeat finds out.
     *
     * @dataProvider serversThatSayNothing
     */
    public function testBehindAServerThatDoesNotTellTheHeartbeatFindsThatTheClientHasLeft(string $name): void
    {
        $server = $this->site($name, ['sse.heartbeat' => 1]);
        $stream = $this->ticking($server);

        $stream->close();

        $server->awaitLog('the script has ended, aborted 1', 30.0);
        self::assertStringNotContainsString('tick 1 slept', $server->phpLog());
    }

    /** @dataProvider servers */
    public function testAScriptThatIgnoresThatItsClientHasLeftGoesOnInItsOwnTime(string $name): void
    {
        $server = $this->site($name, ['sse.heartbeat' => 0]);
        $stream = $this->ticking($server, 'ignore=1&pause=nanosleep&for=0.7&count=3');

        $stream->close();

        $server->awaitLog('the script has ended, aborted 1');
        self::assertSame(3, preg_match_all('/tick \d slept for all its time, got true/', $server->phpLog()));
    }

    /** @dataProvider servers */
    public function testHeartbeatsComeWhileTheScriptSleeps(string $name): void
    {
        $server = $this->site($name, ['sse.heartbeat' => 1]);
        $stream = $this->ticking($server);

        $this->awaitComments($server, $stream, 3);

        self::assertMatchesRegularExpression('/^: early\n\ndata: first\n\n:\n:\n(:\n)*$/D', $stream->response->body);
    }

    /** As the manual says of waits that adoption leaves alone. */
    public function testAScriptThatWaitsInAnotherWayHasHeartbeatsAtShortSleeps(): void
    {
        $server = $this->site('nginx-fpm-unix', ['sse.heartbeat' => 1]);
        $stream = $this->ticking($server, 'pause=select');

        $this->awaitComments($server, $stream, 3);
        self::assertMatchesRegularExpression('/^: early\n\ndata: first\n\n:\n:\n(:\n)*$/D', $stream->response->body);
        $stream->close();
        $server->awaitLog('the script has ended, aborted 1');
    }

    /** @return array<string, array{string, string}> */
    public static function unflushed(): array
    {
        return [
            'nginx-fpm-unix, ob_implicit_flush()' => ['nginx-fpm-unix', 'implicit'],
            'apache-mod-php, ob_implicit_flush()' => ['apache-mod-php', 'implicit'],
            // It sends each echo at once.
            'php-s-workers, nothing' => ['php-s-workers', 'none'],
        ];
    }

    /** @dataProvider unflushed */
    public function testAScriptThatDoesNotCallFlushHasHeartbeatsAndLetsItsSessionGo(string $name, string $flush): void
    {
        $server = $this->site($name, ['sse.heartbeat' => 1]);
        $cookie = ['Cookie' => 'PHPSESSID=0123456789abcdef0123456789'];
        $stream = $this->ticking($server, "before=session&flush=$flush", $cookie);

        $this->awaitComments($server, $stream, 3);

        self::assertSame('{"streams":1,"visits":1}', $server->client->request('/session.php', $cookie)->body);
        self::assertFalse($stream->ended);
    }

    /** @return iterable<string, array{string, string}> */
    public static function bodiesOfTheScript(): iterable
    {
        foreach (['nginx-fpm-unix', 'php-s-workers'] as $server) {
            yield "$server, measured" => [$server, 'Content-Length: 35'];
            yield "$server, encoded" => [$server, 'Content-Encoding: identity'];
        }
    }

    /** @dataProvider bodiesOfTheScript */
    public function testNoCommentComesIntoABodyThatTheScriptHasMeasuredOrEncoded(string $name, string $header): void
    {
        $server = $this->site($name, ['sse.heartbeat' => 1]);
        // Longer than a heartbeat.
        $stream = $server->client->open(self::TICKS . '?pause=nanosleep&for=2.2&count=2&header=' . rawurlencode($header));

        $server->client->await($stream, static fn (Stream $stream): bool => $stream->ended, 20.0, 'the end');

        self::assertSame(": early\n\ndata: first\n\ndata: first\n\n", $stream->response->body);
    }

    public function testAHeartbeatDoesNotEndAnEventThatIsHalfWritten(): void
    {
        $server = $this->site('nginx-fpm-unix', ['sse.heartbeat' => 1]);
        $stream = $server->client->open(self::TICKS . '?split=line');
        $this->awaitComments($server, $stream, 3);

        $this->push($server);

        self::assertSame("a\nb", $server->client->awaitEvents($stream, 1)[0]);
    }

    public function testAHeartbeatDoesNotComeInTheMiddleOfALine(): void
    {
        $server = $this->site('nginx-fpm-unix', ['sse.heartbeat' => 1]);
        // Longer than a heartbeat, and over by itself.
        $stream = $server->client->open(self::TICKS . '?split=word&pause=nanosleep&for=2.2');

        self::assertSame('ab', $server->client->awaitEvents($stream, 1)[0]);
        self::assertStringStartsWith(": early\n\ndata: ab\n\n", $stream->response->body);
    }

    /** @dataProvider servers */
    public function testAResponseOfAnotherTypeIsLeftAlone(string $name): void
    {
        $udp = '127.0.0.1:' . Port::free('udp');
        $server = $this->site($name, ['sse.heartbeat' => 1, 'sse.udp' => $udp]);
        $server->publish('any.topic', 'there is a hub now');
        $cookie = ['Cookie' => 'PHPSESSID=0123456789abcdef0123456789'];
        $page = $server->client->open(
            self::TICKS . '?type=text/plain&before=session&pause=nanosleep&for=1.5&count=1',
            $cookie,
        );
        $server->client->await($page, static fn (Stream $page): bool => $page->response->status === 200, 10.0, 'a head');
        $other = $server->client->open('/session.php', $cookie);
        stream_socket_sendto(stream_socket_client("udp://$udp"), 'WAKEUP');
        $server->client->await($page, static fn (Stream $page): bool => $page->ended, 10.0, 'the page is there');

        $server->awaitLog('tick 1 slept for all its time, got true');
        $server->awaitLog('Failed to flush buffer. No buffer to flush');
        self::assertSame(": early\n\ndata: first\n\n", $page->response->body);
        self::assertArrayNotHasKey('x-accel-buffering', $page->response->headers);
        // The page has kept its session to the end.
        $server->client->await($other, static fn (Stream $other): bool => $other->ended, 10.0, 'the other page');
        self::assertSame('{"streams":1,"visits":1}', $other->response->body);
        self::assertSame(0, $server->openStreams());
    }

    /** @dataProvider servers */
    public function testWithoutTheSettingNothingIsDifferent(string $name): void
    {
        $server = $this->site($name, ['sse.adopt' => 0, 'sse.heartbeat' => 1]);
        $server->publish('any.topic', 'there is a hub now');
        $stream = $server->client->open(self::TICKS . '?pause=nanosleep&for=1.5&count=1');
        $server->client->read(0.2);
        $this->push($server);

        $server->client->await($stream, static fn (Stream $stream): bool => $stream->ended, 10.0, 'the end');
        $server->awaitLog('Failed to flush buffer. No buffer to flush');
        $server->awaitLog('tick 1 slept for all its time, got true');
        self::assertSame(": early\n\ndata: first\n\n", $stream->response->body);
        self::assertArrayNotHasKey('x-accel-buffering', $stream->response->headers);
    }

    /** @return array<string, array{string}> */
    public static function handOff(): array
    {
        return Catalogue::each(Catalogue::EACH_SAPI);
    }

    /** @dataProvider handOff */
    public function testSseStreamWorksAsBefore(string $name): void
    {
        $server = $this->site($name);
        $stream = $server->client->openOne('/stream.php?topics=news');

        $server->publish('news', 'event', ['id' => '1-1']);
        $server->client->awaitEvents($stream, 1);

        self::assertSame("retry: 2000\n\nid: 1-1\ndata: event\n\n", self::withoutCursor($stream->response->body));
        $server->awaitLog('sse_stream returned true');
        self::assertSame(1, $server->openStreams());
    }

    public function testAScriptGoesOnWithoutAHubAndIsWokenByTheNextOne(): void
    {
        $server = $this->site('nginx-fpm-unix');
        $stream = $this->ticking($server, 'pause=usleep&for=1.2');

        posix_kill($server->hub(), SIGKILL);
        $this->state($server, 'alone');
        $server->client->await(
            $stream,
            static fn (Stream $stream): bool => in_array('alone', $stream->data(), true),
            10.0,
            'a tick without the hub',
        );
        // It finds the hub that this starts.
        $server->awaitOpenStreams(1, 20.0);

        self::assertFalse($stream->ended);
    }

    public function testAWorkerIsAsItWasAfterAnAdoptedRequest(): void
    {
        $server = $this->site('nginx-fpm-unix', ['sse.heartbeat' => 0], ['pm.max_children' => 1]);
        for ($i = 0; $i < 3; $i++) {
            $this->ticking($server)->close();
            $page = $server->client->request(self::TICKS . '?type=text/plain&pause=usleep&for=0.01&count=1');
            self::assertSame(": early\n\ndata: first\n\n", $page->body);
        }
        self::assertSame(0, $server->openStreams());
        // Both loops of each round flush without a buffer, and PHP says so as it does without adoption.
        self::assertSame(6, substr_count($server->phpLog(), 'Failed to flush buffer'));
    }

    /**
     * @param array<string, string|int> $ini
     * @param array<string, string|int> $options
     */
    private function site(string $name, array $ini = [], array $options = []): Server
    {
        $server = $this->serve($name, $ini + ['sse.adopt' => 1, 'sse.adopt_topics' => '*=**'], $options);
        $server->folder->folder('data', 0777);
        $this->state($server, 'first');

        return $server;
    }

    /**
     * Opens ticks.php and waits for its first tick.
     *
     * @param array<string, string> $headers
     */
    private function ticking(Server $server, string $options = '', array $headers = []): Stream
    {
        $stream = $server->client->open(self::TICKS . "?$options", $headers);
        $server->client->awaitEvents($stream, 1);

        return $stream;
    }

    private function state(Server $server, string $text): void
    {
        file_put_contents("{$server->folder->path}/data/state", $text);
    }

    private function push(Server $server, string $topic = 'any.topic'): void
    {
        self::assertSame(['taken' => true], $server->json("/trigger.php?topic=$topic"));
    }

    private function awaitComments(Server $server, Stream $stream, int $count): void
    {
        $server->client->await(
            $stream,
            static fn (Stream $stream): bool => $stream->parser->comments >= $count,
            20.0,
            "$count comments have come",
        );
    }
}
