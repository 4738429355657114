<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\FpmServer;
use PhpSse\Tests\Server\Php;
use PhpSse\Tests\Server\Server;

/** Servers that the hub may not connect to keep their streams in their workers, or refuse them, and somebody is told why. */
final class RenderListenerTest extends RenderTestCase
{
    private const PATH = '/replay/page.php?topics=news&callback=value';
    private const NGINX_ONLY = 'backup';

    public function testASocketThatTheHubMayNotConnectToLeavesStreamsToTheirWorkers(): void
    {
        if (posix_geteuid() !== 0) {
            self::markTestSkipped('root: only root can give a socket to another user');
        }
        $server = $this->serve(
            'nginx-fpm-unix',
            [],
            ['listen.owner' => self::NGINX_ONLY, 'listen.mode' => '0600', 'user' => self::NGINX_ONLY],
        );

        $this->assertServedInItsWorker($server);

        $why = "a stream is served in its worker: the hub may not connect to the server's socket "
            . "{$server->folder->path}/fpm.sock: Permission denied";
        self::assertStringContainsString($why, $server->phpLog());
        self::assertStringContainsString('listen.mode', $server->phpLog());
    }

    public function testThatIsToldOnceByEachProcess(): void
    {
        if (posix_geteuid() !== 0) {
            self::markTestSkipped('root: only root can give a socket to another user');
        }
        $server = $this->serve('nginx-fpm-unix', [], [
            'listen.owner' => self::NGINX_ONLY,
            'listen.mode' => '0600',
            'user' => self::NGINX_ONLY,
            'pm.max_children' => 1,
        ]);
        for ($nth = 1; $nth <= 3; $nth++) {
            $stream = $server->client->openOne(self::PATH);
            $server->client->awaitEvents($stream, 1);
            $stream->close();
            $server->awaitOpenStreams(0);
        }

        self::assertSame(1, substr_count($server->phpLog(), 'the hub may not connect'));
    }

    public function testStreamsWithoutCallbackAreHandedOverThereAllTheSame(): void
    {
        if (posix_geteuid() !== 0) {
            self::markTestSkipped('root: only root can give a socket to another user');
        }
        $server = $this->serve(
            'nginx-fpm-unix',
            [],
            ['listen.owner' => self::NGINX_ONLY, 'listen.mode' => '0600', 'user' => self::NGINX_ONLY],
        );

        $streams = $server->client->openMany(10, '/replay/page.php?topics=news&callback=none');
        $server->publish('news', 'event');

        foreach ($streams as $stream) {
            self::assertSame(['event'], $server->client->awaitEvents($stream, 1));
        }
        self::assertStringNotContainsString('served in its worker', $server->phpLog());
    }

    /** A socket's permissions can be changed while streams are open. */
    public function testASocketThatTheHubMayNoLongerConnectToEndsItsStreams(): void
    {
        if (posix_geteuid() !== 0) {
            self::markTestSkipped('root: only root can give a socket to another user');
        }
        $server = $this->serve(
            'nginx-fpm-unix',
            [],
            ['listen.owner' => Php::workerUser(), 'listen.mode' => '0666', 'user' => self::NGINX_ONLY],
        );
        $streams = $server->client->openMany(3, self::PATH);
        $server->publish('news', 'second');
        foreach ($streams as $stream) {
            $server->client->awaitEvents($stream, 2);
        }

        chown("{$server->folder->path}/fpm.sock", self::NGINX_ONLY);
        chmod("{$server->folder->path}/fpm.sock", 0600);
        $server->publish('news', 'third');

        foreach ($streams as $stream) {
            $this->awaitCleanEnd($server, $stream);
        }
        $this->assertHubSaid($server, 'the hub may not connect to the server');
        $this->assertServedInItsWorker($server);
    }

    public function testAListenerThatLetsOnlyTheWebServerInEndsTheStreamAtItsFirstWake(): void
    {
        $server = $this->serve(
            'nginx-fpm-tcp',
            [],
            ['listen.allowed_clients' => '127.0.0.2', 'bind' => '127.0.0.2'],
        );
        $stream = $server->client->openOne(self::PATH);
        self::assertSame(['first'], $server->client->awaitEvents($stream, 1));
        $server->awaitLog('sse_stream returned true');

        $server->publish('news', 'second');

        $this->awaitCleanEnd($server, $stream);
        $this->assertHubSaid($server, 'listen.allowed_clients');
        // Requests that make workers die look the same from outside: no stream may stay in its worker for that.
        $refused = $server->client->request(self::PATH);
        self::assertSame([503, '5'], [$refused->status, $refused->headers['retry-after']]);
        self::assertStringContainsString('a stream was refused (503): ', $server->phpLog());
        self::assertStringContainsString('listen.allowed_clients', $server->phpLog());
        self::assertSame(0, $server->stats()['streams']['closed']['denied']);
    }

    /** @return array<string, array{list<string>}> events before the replay that is not taken */
    public static function earlier(): array
    {
        return ['the first replay there' => [[]], 'after another client\'s replay' => [['second']]];
    }

    /**
     * Apache takes a hundred headers, and so not those of a replay beside them.
     *
     * @dataProvider earlier
     * @param list<string> $earlier
     */
    public function testARequestThatIsNotTakenAgainEndsNoOthersStreams(array $earlier): void
    {
        $server = $this->serve('apache-mod-php');
        $other = $server->client->openOne(self::PATH);
        $server->client->awaitEvents($other, 1);
        foreach ($earlier as $nth => $text) {
            $server->publish('news', $text);
            $server->client->awaitEvents($other, $nth + 2);
        }
        $names = array_map(static fn (int $number): string => "X-Filler-$number", range(1, 98));
        $full = $server->client->openOne('/replay/page.php?topics=full', array_fill_keys($names, '1'));
        $server->client->awaitEvents($full, 1);

        $server->publish('full', 'second');
        $this->awaitCleanEnd($server, $full);
        $server->publish('news', 'third');

        $server->client->await($other, static function (Stream $stream): bool {
            return array_slice($stream->data(), -1) === ['third'];
        }, 10.0, 'the other client has the news');
        self::assertSame(200, $server->client->openOne(self::PATH)->response->status);
        $this->assertHubSaid($server, 'with 400 before PHP runs');
    }

    /** Apache can't write the head then, as where a filter withholds it. */
    public function testAClientThatResetsWhileItsStreamIsMadeHoldsNoWorker(): void
    {
        $server = $this->serve('apache-mod-php');
        $client = socket_create(AF_INET, SOCK_STREAM, SOL_TCP);
        socket_connect($client, '127.0.0.1', $server->port);
        socket_write($client, "GET /replay/resets.php HTTP/1.1\r\nHost: localhost\r\n\r\n");
        $this->awaitRuns($server, 1, 'runs');
        socket_set_option($client, SOL_SOCKET, SO_LINGER, ['l_onoff' => 1, 'l_linger' => 0]);
        socket_close($client);
        $this->tell($server, 'reset', 'yes');

        $this->awaitRuns($server, 1, 'ends');

        self::assertCount(1, $this->told($server), 'the callback is not run again in the worker');
        self::assertStringNotContainsString('served in its worker', $server->phpLog());
    }

    public function testAServerThatIsAwayForAMomentIsWaitedFor(): void
    {
        $server = $this->serve('nginx-fpm-unix');
        self::assertInstanceOf(FpmServer::class, $server);
        $streams = $server->client->openMany(5, self::PATH);
        foreach ($streams as $stream) {
            $server->client->awaitEvents($stream, 1);
        }

        $server->reloadFpm();
        $server->publish('news', 'second');

        foreach ($streams as $stream) {
            self::assertSame(['first', 'second'], $server->client->awaitEvents($stream, 2));
        }
    }

    private function assertServedInItsWorker(Server $server): void
    {
        $over = substr_count($server->phpLog(), 'sse_stream returned');
        $stream = $server->client->openOne(self::PATH);
        $server->client->awaitEvents($stream, 1);
        $server->publish('news', 'of the worker');

        $server->client->await($stream, static function (Stream $stream): bool {
            return array_slice($stream->data(), -1) === ['of the worker'];
        }, 10.0, 'what the worker rendered has come');
        self::assertSame($over, substr_count($server->phpLog(), 'sse_stream returned'), 'the worker serves it');
        self::assertSame(0, $server->stats()['renders']['streams']);
        $reasons = array_map(static fn (string $run): string => explode(' ', $run)[0], $this->told($server));
        self::assertSame('original', end($reasons));
        $stream->close();
        $server->awaitOpenStreams(0);
    }

    private function assertHubSaid(Server $server, string $text): void
    {
        self::assertStringContainsString($text, (string) file_get_contents("{$server->socket()}.log"));
    }
}
