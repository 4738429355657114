<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Server\CommandLine;
use PhpSse\Tests\Server\Port;
use PhpSse\Tests\Server\Process;
use PhpSse\Tests\Support\Deadline;
use PhpSse\Tests\Support\Page;

/** Datagrams that say "this topic changed", from anything that can send one. */
final class UdpWakeTest extends ServerTestCase
{
    private const KEY = 'the-key-of-these-tests';

    public function testALineOfBashWakesASubscription(): void
    {
        [$commandLine, $port] = $this->commandLineWithPort();
        $subscriber = $commandLine->subscribe(['chat.*']);

        self::shell(0, $port);

        CommandLine::awaitOutput($subscriber, '"trigger":true');
        self::assertSame(
            [['topic' => 'chat.general', 'id' => '', 'event' => null, 'data' => null, 'trigger' => true]],
            self::events($subscriber),
        );
    }

    /** With nothing else to do, the hub must not wait with it. */
    public function testADatagramRunsACallbackAtOnce(): void
    {
        $port = Port::free('udp');
        $server = $this->serve('nginx-fpm-unix', ['sse.udp' => "127.0.0.1:$port", 'sse.heartbeat' => 0]);
        $stream = $server->client->openOne('/render/clock.php?topic=clock');
        $server->client->awaitEvents($stream, 1);
        foreach ([2, 3, 4] as $count) {
            self::send($port, 'WAKEUP clock');
            $server->client->awaitEvents($stream, $count);
        }
        self::assertSame(3, $server->stats()['udp']['wakes']);
    }

    /** Attack: another user of the machine sends datagrams, and each costs the site a request for every stream. */
    public function testAFloodWithoutAKeyRunsFewCallbacks(): void
    {
        $port = Port::free('udp');
        $server = $this->serve('nginx-fpm-unix', ['sse.udp' => "127.0.0.1:$port", 'sse.heartbeat' => 0]);
        $streams = [];
        for ($nth = 0; $nth < 20; $nth++) {
            $streams[] = $stream = $server->client->openOne('/render/clock.php?topic=clock');
            $server->client->awaitEvents($stream, 1);
        }
        $begin = hrtime(true);
        for ($nth = 0; $nth < 100; $nth++) {
            self::send($port, 'WAKEUP');
            // So that each would be a wake of its own.
            Deadline::until(
                static fn (): bool => $server->stats()['udp']['received'] > $nth,
                10.0,
                "datagram $nth is received",
                static fn (): string => json_encode($server->stats()['udp'], JSON_THROW_ON_ERROR),
            );
        }
        // The first at once, and what was held back once more.
        foreach ($streams as $stream) {
            $server->client->awaitEvents($stream, 3);
        }

        $seconds = intdiv(hrtime(true) - $begin, 1_000_000_000) + 1;
        $stats = $server->stats();
        self::assertSame([100, 0], [$stats['udp']['wakes'], $stats['udp']['dropped']]);
        self::assertLessThanOrEqual(20 * ($seconds + 1), $stats['renders']['done']);
    }

    public function testAWakeWithoutATopicWakesAll(): void
    {
        [$commandLine, $port] = $this->commandLineWithPort();
        $chat = $commandLine->subscribe(['chat.general']);
        $orders = $commandLine->subscribe(['orders.**']);

        self::send($port, 'WAKEUP');

        CommandLine::awaitOutput($chat, '"trigger":true');
        CommandLine::awaitOutput($orders, '"trigger":true');
        self::assertCount(1, self::events($chat));
        self::assertCount(1, self::events($orders));
    }

    public function testAWakeOfAnotherTopicWakesNobody(): void
    {
        [$commandLine, $port] = $this->commandLineWithPort();
        $subscriber = $commandLine->subscribe(['chat.general']);

        self::send($port, 'WAKEUP chat.other');
        // What comes after it has come, so the other would have come before.
        self::send($port, 'WAKEUP chat.general');

        CommandLine::awaitOutput($subscriber, 'chat.general');
        self::assertStringNotContainsString('chat.other', $subscriber->output());
    }

    public function testAWakeFromPhpIsTheSame(): void
    {
        [$commandLine] = $this->commandLineWithPort();
        $subscriber = $commandLine->subscribe(['chat.general']);

        $answer = $commandLine->run('echo json_encode(SseTrigger::push("chat.general"));');

        self::assertSame('true', $answer);
        CommandLine::awaitOutput($subscriber, '"trigger":true');
        self::assertSame(['chat.general'], array_column(self::events($subscriber), 'topic'));
    }

    public function testAWakeWithTheKeysCodeIsTakenOnce(): void
    {
        [$commandLine, $port] = $this->commandLineWithPort(['sse.udp_key' => self::KEY]);
        $subscriber = $commandLine->subscribe(['**']);
        $wake = self::signed('WAKEUP chat.general', self::KEY);

        self::send($port, $wake);
        // Attack: whoever sees a datagram on the network sends it again.
        self::send($port, $wake);
        self::send($port, self::signed('WAKEUP after.it', self::KEY));

        CommandLine::awaitOutput($subscriber, 'after.it');
        self::assertSame(['chat.general', 'after.it'], array_column(self::events($subscriber), 'topic'));
        self::assertSame(1, self::udp($commandLine)['replayed']);
    }

    public function testTheDocumentedLineOfShellSignsAWake(): void
    {
        [$commandLine, $port] = $this->commandLineWithPort(['sse.udp_key' => self::KEY]);
        $subscriber = $commandLine->subscribe(['chat.*']);

        self::shell(1, $port);

        CommandLine::awaitOutput($subscriber, '"trigger":true');
        self::assertSame(['chat.general'], array_column(self::events($subscriber), 'topic'));
    }

    /** Runs the lines of bash that the manual has for it: 0 without a key, 1 with one. */
    private static function shell(int $number, int $port): void
    {
        $lines = Page::blocks('docs/guide/publishing.md', 'Notifications from other programs')['sh'][$number];
        $lines = str_replace('8099', (string) $port, $lines, $replaced);
        self::assertSame(1, $replaced);
        shell_exec('KEY=' . self::KEY . ' bash -c ' . escapeshellarg($lines));
    }

    /** @return array<string, array{callable(): string, string}> */
    public static function forgeries(): array
    {
        $signed = static fn (string $key, int $age): string => self::signed('WAKEUP chat.general', $key, $age);

        return [
            'without a code' => [static fn (): string => 'WAKEUP chat.general', 'unauthenticated'],
            'with the code of another key' => [static fn (): string => $signed('another key', 0), 'unauthenticated'],
            'with the code of other words' => [
                static fn (): string => str_replace('general', 'private', $signed(self::KEY, 0)),
                'unauthenticated',
            ],
            'kept back for a minute' => [static fn (): string => $signed(self::KEY, 60), 'replayed'],
            'dated a minute ahead' => [static fn (): string => $signed(self::KEY, -60), 'replayed'],
        ];
    }

    /**
     * Attack: somebody without the key, or with an old datagram, makes all clients' pages render.
     *
     * @dataProvider forgeries
     * @param callable(): string $datagram
     */
    public function testAForgeryIsIgnoredAndCounted(callable $datagram, string $counter): void
    {
        [$commandLine, $port] = $this->commandLineWithPort(['sse.udp_key' => self::KEY]);
        $subscriber = $commandLine->subscribe(['**']);

        self::send($port, $datagram());
        self::send($port, self::signed('WAKEUP after.it', self::KEY));

        CommandLine::awaitOutput($subscriber, 'after.it');
        self::assertSame(['after.it'], array_column(self::events($subscriber), 'topic'));
        self::assertSame(1, self::udp($commandLine)[$counter]);
    }

    /** @return array<string, array{string}> */
    public static function garbage(): array
    {
        return [
            'an empty datagram' => [''],
            'another word' => ['HELLO'],
            'lower case' => ['wakeup chat.general'],
            'a word that begins the same' => ['WAKEUPS'],
            'no topic after the space' => ['WAKEUP '],
            'a pattern' => ['WAKEUP chat.*'],
            'an empty segment' => ['WAKEUP chat..general'],
            'bytes that are no UTF-8' => ["WAKEUP \xff\xfe"],
            'control characters' => ["WAKEUP chat\0general"],
            'a datagram of 60,000 bytes' => ['WAKEUP ' . str_repeat('a', 60_000)],
        ];
    }

    /**
     * Attack: bytes that crash the hub, or wake what they should not.
     *
     * @dataProvider garbage
     */
    public function testGarbageIsIgnoredAndCounted(string $datagram): void
    {
        [$commandLine, $port] = $this->commandLineWithPort();
        $subscriber = $commandLine->subscribe(['**']);

        self::send($port, $datagram);
        self::send($port, 'WAKEUP after.it');

        CommandLine::awaitOutput($subscriber, '"trigger":true');
        self::assertSame(['after.it'], array_column(self::events($subscriber), 'topic'));
        self::assertSame(1, self::udp($commandLine)['garbage']);
    }

    public function testTheSecondHubOnAPortSaysThatItIsTakenAndWorksWithoutIt(): void
    {
        [$first, $port] = $this->commandLineWithPort();
        $first->startHub();
        $second = $this->commandLine(['sse.udp' => "127.0.0.1:$port"]);

        $hub = $second->startHub();

        CommandLine::awaitOutput($hub, (string) $port);
        self::assertMatchesRegularExpression("/127\.0\.0\.1:$port.*(taken|in use)/i", $hub->output());
        $subscriber = $second->subscribe(['news']);
        $second->run('publish.php', ['news', 'event']);
        CommandLine::awaitOutput($subscriber, '"data":"event"');
    }

    public function testAPortBeyondLoopbackNeedsAKey(): void
    {
        $commandLine = $this->commandLine(['sse.udp' => '0.0.0.0:' . Port::free('udp')]);

        $said = $commandLine->run('publish.php', ['news', 'event'], [], [], 1);

        self::assertStringContainsString('is not loopback; set sse.udp_key', $said);
        self::assertFileDoesNotExist($commandLine->socket());
    }

    /** @return array{CommandLine, int} */
    private function commandLineWithPort(array $settings = []): array
    {
        $port = Port::free('udp');

        return [$this->commandLine($settings + ['sse.udp' => "127.0.0.1:$port"]), $port];
    }

    /** As hub/src/udp/mod.rs describes it. */
    private static function signed(string $words, string $key, int $secondsOld = 0): string
    {
        $words .= ' t=' . ((int) (microtime(true) * 1000) - $secondsOld * 1000);

        return "$words h=" . hash_hmac('sha256', $words, $key);
    }

    /** @return array<string, mixed> */
    private static function udp(CommandLine $commandLine): array
    {
        return json_decode($commandLine->run('stats.php'), true)['udp'];
    }

    private static function send(int $port, string $datagram): void
    {
        $socket = stream_socket_client("udp://127.0.0.1:$port");
        self::assertSame(strlen($datagram), stream_socket_sendto($socket, $datagram));
    }

    /** @return list<array<string, mixed>> */
    private static function events(Process $subscriber): array
    {
        preg_match_all('/^\{.*\}$/m', $subscriber->output(), $lines);

        return array_map(static fn (string $line): array => json_decode($line, true), $lines[0]);
    }
}
