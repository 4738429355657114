<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\CommandLine;
use PhpSse\Tests\Server\Crowd;
use PhpSse\Tests\Server\Port;
use PhpSse\Tests\Server\Server;
use PhpSse\Tests\Support\Deadline;
use PhpSse\Tests\Support\Proc;

/** A new hub takes over from the one that runs, and nobody notices. */
final class UpgradeTest extends ServerTestCase
{
    private const READERS = 12;
    private const MANY = 5000;

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each([...Catalogue::EACH_SAPI, 'nginx-fpm-redirect']);
    }

    /** @dataProvider servers */
    public function testTwentyUpgradesUnderLoadLoseDoubleAndReorderNothing(string $name): void
    {
        $server = $this->serve($name);
        $programs = $this->commandLine(['sse.socket' => $server->socket(), 'sse.spawn' => 'off']);
        $streams = $server->client->openMany(self::READERS, '/stream.php?topics=news');
        $rendered = $server->client->openMany(3, '/render/echo.php?topic=news');
        $subscriber = $programs->subscribe(['news']);
        $hubs = [$server->hub()];
        $opened = $server->stats()['streams']['opened'];
        $publisher = $programs->start('publish-on.php', ['news', "{$programs->folder->path}/enough"]);
        $server->client->awaitEvents($streams[0], 1);

        for ($nth = 1; $nth <= 20; $nth++) {
            $hubs[] = $this->upgrade($server, $nth, byPage: $nth % 2 === 0);
            // Something is published in each hub.
            $server->client->awaitEvents($streams[0], count($streams[0]->parser->events) + 1);
        }
        touch("{$programs->folder->path}/enough");
        self::assertSame(0, $publisher->awaitExit(), $publisher->output());

        $expected = range(1, (int) $publisher->output());
        self::assertGreaterThan(20, count($expected));
        foreach ($streams as $stream) {
            self::assertSame($expected, array_map('intval', $server->client->awaitEvents($stream, count($expected))));
            self::assertFalse($stream->ended, $stream->summary());
        }
        foreach ($rendered as $stream) {
            $server->client->await(
                $stream,
                static fn (Stream $stream): bool => count(self::told($stream)) >= count($expected),
                20.0,
                'the callback has been told of all events',
            );
            self::assertSame($expected, self::told($stream));
            self::assertFalse($stream->ended, $stream->summary());
        }
        CommandLine::awaitOutput($subscriber, sprintf('"data":"%d"', count($expected)));
        preg_match_all('/"data":"(\d+)"/', $subscriber->output(), $found);
        self::assertSame($expected, array_map('intval', $found[1]));
        self::assertCount(21, array_unique($hubs));
        $stats = $server->stats();
        self::assertSame(
            [20, $opened, self::READERS + 4, count($expected)],
            [$stats['upgrades'], $stats['streams']['opened'], $stats['streams']['open'], $stats['published']],
        );
        self::assertSame(0, $stats['renders']['failed'], json_encode($stats['renders'], JSON_THROW_ON_ERROR));
    }

    /** @return array<string, array{string}> */
    public static function largeServers(): array
    {
        return Catalogue::each(['nginx-fpm-unix', 'php-s']);
    }

    /** @dataProvider largeServers */
    public function testFiveThousandOpenStreamsArePassedOn(string $name): void
    {
        $server = $this->serve($name, [], ['streams' => self::MANY]);
        $programs = $this->commandLine(['sse.socket' => $server->socket(), 'sse.spawn' => 'off']);
        $crowd = new Crowd($programs, $server, '/stream.php?topics=news', self::MANY);
        $enough = "{$programs->folder->path}/enough";
        $publisher = $programs->start('publish-on.php', ['news', $enough, '100000']);
        $pauses = [];

        for ($nth = 1; $nth <= 5; $nth++) {
            $said = $server->json('/upgrade.php');
            self::assertSame(self::MANY, $said['streams']);
            $pauses[] = round($said['pause_ms'], 1);
            $published = $server->stats()['published'];
            Deadline::until(
                static fn (): bool => $server->stats()['published'] > $published,
                20.0,
                'an event is published in this hub',
            );
        }
        touch($enough);
        self::assertSame(0, $publisher->awaitExit(), $publisher->output());
        $result = $crowd->finish((int) $publisher->output());

        self::assertSame(
            ['complete' => self::MANY, 'wrong' => 0, 'ended' => 0],
            array_diff_key($result, ['longest_ms' => 0]),
        );
        fprintf(STDERR, "%s: %d streams; delivery paused for %s ms\n", $name, self::MANY, implode(', ', $pauses));
    }

    public function testReadersWhoWereAwayResumeAfterIt(): void
    {
        $server = $this->serve('nginx-fpm-unix');
        $ids = $server->publish('news', 'event', ['count' => 3]);

        $this->upgrade($server, 1, byPage: true);

        $stream = $server->client->openOne('/stream.php?topics=news', ['Last-Event-ID' => $ids[0]]);
        self::assertSame(['event 2', 'event 3'], $server->client->awaitEvents($stream, 2));
        self::assertSame(0, $server->stats()['history']['gaps']);
    }

    public function testTheNewHubHasTheSettingsOfNow(): void
    {
        $programs = $this->commandLine();
        $programs->run('publish.php', ['news', 'event']);
        $code = 'echo json_encode([sse_hub_upgrade()["streams"], sse_stats()["upgrades"]]);';

        self::assertSame('[0,1]', $programs->run($code, [], ['sse.log' => "{$programs->hubFolder}/other.log", 'sse.log_level' => 'info']));

        self::assertStringContainsString(
            'has taken over from another hub',
            (string) file_get_contents("{$programs->hubFolder}/other.log"),
        );
    }

    public function testWhereNoHubRunsOneIsStarted(): void
    {
        $programs = $this->commandLine();

        $said = json_decode($programs->run('echo json_encode(sse_hub_upgrade());'), true);

        self::assertSame([0, null], [$said['streams'], $said['pause_ms']]);
        self::assertSame([$said['pid']], Proc::listenersOn($programs->socket()));
    }

    public function testAHubThatCannotTakeOverSaysWhyAndTheOldOneGoesOn(): void
    {
        $server = $this->serve('php-s');
        $stream = $server->client->openOne('/stream.php?topics=news');
        $hub = $server->hub();
        $programs = $this->commandLine(['sse.socket' => $server->socket()]);

        $said = $programs->run('sse_hub_upgrade();', [], ['sse.history' => "sqlite:{$programs->folder->path}/x.db"], [], 255);

        self::assertStringContainsString('SseException', $said);
        self::assertStringContainsString('the hub that runs keeps them in memory', $said);
        $server->publish('news', 'still here');
        self::assertSame(['still here'], $server->client->awaitEvents($stream, 1));
        self::assertSame($hub, $server->hub());
    }

    public function testAnExtensionThatDoesNotLoadIsLoggedAndTheOldHubGoesOn(): void
    {
        $programs = $this->commandLine(['sse.log_level' => 'info']);
        $programs->run('publish.php', ['news', 'event']);
        [$hub] = Proc::listenersOn($programs->socket());
        // A new file, as an update makes one: what is loaded already stays what it is.
        $broken = "{$programs->folder->path}/sse.so";
        rename($broken, "$broken.old");
        file_put_contents($broken, 'not an extension');

        posix_kill($hub, SIGHUP);

        Deadline::until(
            static fn (): bool => str_contains((string) @file_get_contents("{$programs->socket()}.log"), 'could not be started'),
            20.0,
            'the log says so',
            static fn (): string => (string) @file_get_contents("{$programs->socket()}.log"),
        );
        rename("$broken.old", $broken);
        self::assertSame($hub, json_decode($programs->run('stats.php'), true)['pid']);
    }

    public function testTheHubOfANamespaceStaysThat(): void
    {
        $programs = $this->commandLine(['sse.namespace' => 'shop']);
        $programs->run('publish.php', ['news', 'event']);
        $socket = "{$programs->hubFolder}/hub.shop.sock";
        for ($nth = 1; $nth <= 2; $nth++) {
            [$hub] = Proc::listenersOn($socket);

            posix_kill($hub, SIGHUP);

            Deadline::until(
                static fn (): bool => json_decode($programs->run('stats.php'), true)['upgrades'] === $nth,
                20.0,
                "upgrade $nth is done",
                static fn (): string => $programs->logs(),
            );
            self::assertNotSame([$hub], Proc::listenersOn($socket));
        }
    }

    public function testAForegroundHubStaysTheSameProcess(): void
    {
        $programs = $this->commandLine();
        $hub = $programs->startHub(['sse.log_level' => 'info']);
        $subscriber = $programs->subscribe(['news']);
        for ($nth = 1; $nth <= 3; $nth++) {
            $hub->signal(SIGHUP);
            Deadline::until(
                static fn (): bool => json_decode($programs->run('stats.php'), true)['upgrades'] === $nth,
                20.0,
                "upgrade $nth is done",
                static fn (): string => $hub->output(),
            );
            $programs->run('publish.php', ['news', "event $nth"]);
            CommandLine::awaitOutput($subscriber, "event $nth");
        }
        self::assertNotContains($hub->pid, Proc::listenersOn($programs->socket()));
        // What the hubs that have taken over log goes where the first one's went.
        self::assertSame(3, substr_count($hub->output(), 'has taken over from another hub'), $hub->output());

        $hub->signal(SIGTERM);

        self::assertSame(0, $hub->awaitExit(), $hub->output());
        self::assertFileDoesNotExist($programs->socket());
        self::assertSame([], Proc::listenersOn($programs->socket()));
    }

    public function testAKeyIsPassedOnAsItIsAndInNoListOfProcesses(): void
    {
        $port = Port::free('udp');
        // Random bytes as well as what php.ini takes for its own.
        $bytes = "it's \"secret\" \\ \${HOME} $" . implode('', array_map(chr(...), range(1, 255)));
        $quoted = implode("\"'\"", array_map(static fn (string $part): string => "'$part'", explode("'", $bytes)));
        $programs = $this->commandLine(['sse.udp' => "127.0.0.1:$port", 'sse.udp_key' => $quoted]);
        $programs->run('publish.php', ['news', 'event']);
        $key = hex2bin($programs->run('echo bin2hex(ini_get("sse.udp_key"));'));
        self::assertSame($bytes, $key);
        [$hub] = Proc::listenersOn($programs->socket());
        $seen = [];

        posix_kill($hub, SIGHUP);
        while (Proc::listenersOn($programs->socket()) === [$hub]) {
            foreach (glob('/proc/[0-9]*/cmdline') ?: [] as $file) {
                $line = str_replace("\0", ' ', (string) @file_get_contents($file));
                if (str_contains($line, 'sse_hub_upgrade')) {
                    $seen[] = $line;
                }
            }
        }

        self::assertStringNotContainsString('secret', implode("\n", $seen));
        $wake = 'WAKEUP news t=' . (int) (microtime(true) * 1000);
        $wake .= ' h=' . hash_hmac('sha256', $wake, $key);
        fwrite(stream_socket_client("udp://127.0.0.1:$port"), $wake);
        Deadline::until(
            static function () use ($programs): bool {
                $stats = json_decode($programs->run('stats.php'), true);

                return [$stats['upgrades'], $stats['udp']['wakes']] === [1, 1];
            },
            20.0,
            'the new hub knows the key',
            static fn (): string => $programs->logs(),
        );
    }

    /** Has another hub take over, for the nth time, and returns its process. */
    private function upgrade(Server $server, int $nth, bool $byPage): int
    {
        if ($byPage) {
            $said = $server->json('/upgrade.php');
            self::assertGreaterThan(0, $said['pause_ms']);

            return $said['pid'];
        }
        posix_kill($server->stats()['pid'], SIGHUP);

        return Deadline::until(
            static function () use ($server, $nth): ?int {
                $stats = $server->stats();

                return $stats['upgrades'] === $nth ? $stats['pid'] : null;
            },
            20.0,
            "upgrade $nth is done",
            static fn (): string => $server->logs(),
        );
    }

    /** @return list<int> all that a callback was told */
    private static function told(Stream $stream): array
    {
        $events = array_map(static fn (string $data): array => json_decode($data, true), $stream->data());

        return array_map('intval', array_merge(...$events));
    }
}
