<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\CommandLine;
use PhpSse\Tests\Support\Proc;

/** The program `sse`. */
final class ConsoleTest extends ServerTestCase
{
    public function testItStartsNoHubAndSaysWhereNoneIs(): void
    {
        $commandLine = $this->commandLine();

        foreach (['stats', 'streams', 'tail news', 'publish news x', 'notify news', 'history news', 'drain', 'upgrade'] as $command) {
            $said = self::sse($commandLine, explode(' ', $command), 3);
            self::assertStringContainsString("no hub runs at {$commandLine->socket()}", $said, $command);
        }
        self::assertFileDoesNotExist($commandLine->socket());
        $settings = self::sse($commandLine, ['config', 'udp_rate', 'sse.udp']);
        self::assertMatchesRegularExpression('/^sse\.udp +the command line/m', $settings);
        self::assertMatchesRegularExpression('/^sse\.udp_rate +50 +default$/m', $settings);
        self::assertStringContainsString('not known: no hub runs at', $settings);
    }

    public function testItWatchesPublishesAndEnds(): void
    {
        $server = $this->serve('nginx-fpm-unix', ['sse.processes' => 1]);
        $stream = $server->client->openOne('/stream.php?topics=news&user=ann');
        $commandLine = $this->commandLine(['sse.socket' => $server->socket()]);

        $id = self::sse($commandLine, ['publish', 'news', "two\nlines", '--type=typed']);
        self::sse($commandLine, ['publish', 'elsewhere', "\e[2J"]);
        self::assertSame(["two\nlines"], $server->client->awaitEvents($stream, 1));
        self::assertSame([$id, 'typed'], [$stream->parser->events[0]->id, $stream->parser->events[0]->name]);
        $history = array_map(
            static fn (string $line): array => json_decode($line, true, 512, JSON_THROW_ON_ERROR),
            explode("\n", self::sse($commandLine, ['history', '**'])),
        );
        self::assertSame([['news', "two\nlines"], ['elsewhere', "\e[2J"]], array_map(
            static fn (array $event): array => [$event['topic'], $event['data']],
            $history,
        ));
        self::assertStringNotContainsString("\e", self::sse($commandLine, ['history', '**']));

        self::assertSame('1', self::sse($commandLine, ['watchers', 'news']));
        $stats = json_decode(self::sse($commandLine, ['stats', '--json']), true, 512, JSON_THROW_ON_ERROR);
        self::assertSame([1, 2, 1], [$stats['streams']['open'], $stats['published'], $stats['published_unwatched']]);
        self::assertMatchesRegularExpression('/^streams\.open +1$/m', self::sse($commandLine, ['stats']));
        self::assertMatchesRegularExpression(
            '/^published_unwatched +1 +0\.0\n/m',
            self::sse($commandLine, ['stats', '--watch', '--count=2']),
            'the second time with rates',
        );
        $streams = self::sse($commandLine, ['streams', '--user', 'ann']);
        self::assertMatchesRegularExpression('/^(\S{22})  .* ann +127\.0\.0\.1 +\d+ +0 +fastcgi +news$/m', $streams);
        self::assertSame('{}', self::sse($commandLine, ['streams', '--user=bob', '--json']));

        $tail = $commandLine->start(CommandLine::sse(), ['tail', 'news', '--count=1', '--timeout=60']);
        $server->awaitOpenStreams(2);
        self::sse($commandLine, ['notify', 'news']);
        self::assertSame([0, '{"topic":"news","notification":true}'], [$tail->awaitExit(), trim($tail->output())]);

        self::assertSame('1 ended', self::sse($commandLine, ['disconnect', '--user=ann']));
        $server->client->await($stream, static fn (): bool => $stream->ended, 10.0, 'the stream has ended');
    }

    public function testItTellsWhoIsThere(): void
    {
        $server = $this->serve('nginx-fpm-unix');
        $server->client->openOne('/presence.php?topics=room&id=ann');
        $commandLine = $this->commandLine(['sse.socket' => $server->socket()]);

        $members = self::sse($commandLine, ['presence', 'room']);

        self::assertMatchesRegularExpression('/^ann +[-0-9]{10} [:0-9]{8} +1 +\{"name":"ANN"\}$/m', $members);
        self::assertSame('{}', self::sse($commandLine, ['presence', 'elsewhere', '--json']));
    }

    public function testItHasANewHubTakeOver(): void
    {
        $commandLine = $this->commandLine();
        $subscriber = $commandLine->subscribe(['room']);
        $before = Proc::listenersOn($commandLine->socket());

        $done = json_decode(self::sse($commandLine, ['upgrade', '--json']), true, 512, JSON_THROW_ON_ERROR);

        self::assertSame([[$done['pid']], 1], [Proc::listenersOn($commandLine->socket()), $done['streams']]);
        self::assertNotSame($before, [$done['pid']]);
        self::sse($commandLine, ['publish', 'room', 'after it']);
        CommandLine::awaitOutput($subscriber, 'after it');
    }

    public function testADrainEndsTheStreamsOfClientsOneAfterTheOther(): void
    {
        $server = $this->serve('nginx-fpm-unix');
        $commandLine = $this->commandLine(['sse.socket' => $server->socket()]);
        $streams = $server->client->openMany(5, '/stream.php?topics=news');
        $subscriber = $commandLine->subscribe(['news']);
        $server->awaitOpenStreams(6);

        $said = json_decode(self::sse($commandLine, ['drain', '--over=500ms', '--retry=70', '--json']), true, 512, JSON_THROW_ON_ERROR);

        self::assertSame([5, 0], [$said['ended'], $said['left']]);
        self::assertGreaterThanOrEqual(0.4, $said['seconds'], 'a fifth of the time between two of five');
        $server->client->awaitAll($streams, static fn (Stream $stream): bool => $stream->ended, 10.0, 'the streams have ended');
        self::assertSame(array_fill(0, 5, 70), array_map(static fn (Stream $stream): ?int => $stream->parser->retry, $streams));
        self::assertSame([1, 5], [$server->openStreams(), $server->stats()['streams']['closed']['disconnected']]);
        self::assertTrue($subscriber->isRunning(), 'what PHP reads goes on');
        self::assertMatchesRegularExpression('/^0 ended in .* s, 0 left$/D', self::sse($commandLine, ['drain']));
    }

    public function testItTellsWhatTheHubUsesOfItsSettings(): void
    {
        $commandLine = $this->commandLine(['sse.udp_key' => 'secret', 'sse.history_bytes' => '32M', 'sse.max_streams' => 100]);
        self::sse($commandLine, ['publish', 'news', 'x', '--start']);
        $config = static fn (array $settings, int $code, string ...$words): string => $commandLine->run(
            CommandLine::sse(),
            ['config', ...$words],
            $settings,
            [],
            $code,
        );

        self::assertSame('setting  value  the hub    from', $config([], 0, '--differing'), 'what is written otherwise is the same');
        $other = ['sse.history_bytes' => 32 << 20, 'sse.max_streams' => 200, 'sse.udp_key' => 'other'];
        $differing = json_decode($config($other, 1, '--differing', '--json'), true, 512, JSON_THROW_ON_ERROR);
        self::assertSame(['sse.max_streams'], array_column($differing, 'name'));
        self::assertSame(['200', 100], [$differing[0]['value'], $differing[0]['hub']]);
        self::assertStringContainsString('the command line (-d)', $differing[0]['from']);
        self::assertStringNotContainsString('secret', $config([], 0));
    }

    public function testAWrongCommandLineIsExplained(): void
    {
        $commandLine = $this->commandLine();

        foreach (
            [
                'launch' => "there is no command 'launch'",
                'tail' => 'TOPIC is missing',
                'watchers a b' => "'b' is one argument too many",
                'stats --colour' => 'sse stats has no option --colour',
                'stats --json=1' => '--json has no value',
                'streams --user' => '--user needs a value',
                'streams --limit=none' => "--limit: 'none' is no whole number from 1 on",
                'drain --over=soon' => "--over: 'soon' is no time of at most a day, as 500ms, 45s or 5m",
                'disconnect' => 'name one of --user, --topic and --stream',
            ] as $words => $why
        ) {
            self::assertStringContainsString($why, self::sse($commandLine, explode(' ', $words), 2), $words);
        }
        $overview = self::sse($commandLine, ['help']);
        foreach (explode(' ', 'stats tail publish notify streams presence history disconnect drain upgrade config') as $name) {
            self::assertStringContainsString("\n  $name ", $overview);
            self::assertStringContainsString("usage: sse $name", self::sse($commandLine, [$name, '--help']));
        }
    }

    /** @param list<string> $words */
    private static function sse(CommandLine $commandLine, array $words, int $code = 0): string
    {
        return $commandLine->run(CommandLine::sse(), $words, [], [], $code);
    }
}
