<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\CommandLine;
use PhpSse\Tests\Server\Php;
use PhpSse\Tests\Support\Proc;

/** sse_hub(): the hub as a service of its own, for systemd and containers. */
final class ForegroundHubTest extends ServerTestCase
{
    /** @return array<string, array{int}> */
    public static function endingSignals(): array
    {
        return ['SIGTERM' => [SIGTERM], 'SIGINT' => [SIGINT]];
    }

    /** @dataProvider endingSignals */
    public function testItEndsCleanlyOnASignal(int $signal): void
    {
        $commandLine = $this->commandLine();
        $hub = $commandLine->startHub();
        $commandLine->run('publish.php', ['news', 'event']);

        $hub->signal($signal);

        self::assertSame(0, $hub->awaitExit(), $hub->output());
        self::assertFileDoesNotExist($commandLine->socket());
    }

    public function testItLogsToStandardError(): void
    {
        $commandLine = $this->commandLine();

        $hub = $commandLine->startHub();

        CommandLine::awaitOutput($hub, 'INFO the hub has started');
        self::assertStringContainsString($commandLine->socket(), $hub->output());
        self::assertFileDoesNotExist("{$commandLine->socket()}.log");
    }

    public function testItIsUsedByProgramsThatMayStartNone(): void
    {
        $commandLine = $this->commandLine(['sse.spawn' => 'off']);
        $hub = $commandLine->startHub();

        $id = $commandLine->run('publish.php', ['news', 'event']);

        self::assertMatchesRegularExpression('/^\d+-\d+$/', $id);
        self::assertSame([$hub->pid], Proc::listenersOn($commandLine->socket()));
    }

    public function testASecondOneAtTheSameSocketIsRefused(): void
    {
        $commandLine = $this->commandLine();
        $first = $commandLine->startHub();

        $second = $commandLine->start('sse_hub();');

        self::assertNotSame(0, $second->awaitExit());
        self::assertStringContainsString('already runs', $second->output());
        self::assertTrue($first->isRunning());
        self::assertSame([$first->pid], Proc::listenersOn($commandLine->socket()));
    }

    public function testItServesAWebServersStreamsAndEndsThemWhenItIsTold(): void
    {
        $commandLine = $this->commandLine();
        $server = $this->serve('nginx-fpm-unix', ['sse.spawn' => 'off']);
        $user = Php::workerUser();
        $hub = $commandLine->startHub(
            ['sse.socket' => $server->socket()],
            posix_geteuid() === 0 ? ['user' => $user] : [],
        );
        $stream = $server->client->openOne('/stream.php?topics=news');
        self::assertSame($hub->pid, $server->hub());
        $server->publish('news', 'event');
        self::assertSame(['event'], $server->client->awaitEvents($stream, 1));

        $hub->signal(SIGTERM);

        self::assertSame(0, $hub->awaitExit(), $hub->output());
        $server->client->await($stream, static fn (): bool => $stream->ended, 10.0, 'the stream has ended');
    }

    public function testItOutlivesTheWebServer(): void
    {
        $commandLine = $this->commandLine();
        $server = $this->serve('nginx-fpm-unix', ['sse.spawn' => 'off']);
        $hub = $commandLine->startHub(
            ['sse.socket' => $server->socket()],
            posix_geteuid() === 0 ? ['user' => Php::workerUser()] : [],
        );
        $stream = $server->client->openOne('/stream.php?topics=news');
        // A worker that had not let go yet would take the stream along.
        $server->awaitOpenStreams(1);

        $server->owner()->signal(SIGTERM);
        $server->owner()->awaitExit();

        $settings = ['sse.socket' => $server->socket(), 'sse.spawn' => 'off'];
        $commandLine->run('publish.php', ['news', 'without PHP-FPM'], $settings);
        self::assertSame(['without PHP-FPM'], $server->client->awaitEvents($stream, 1));
        self::assertTrue($hub->isRunning());
    }
}
