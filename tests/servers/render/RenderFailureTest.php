<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\Php;
use PhpSse\Tests\Server\Server;
use PhpSse\Tests\Support\Deadline;

/** Whatever a render does, its stream and the hub are unharmed, and the hub's log says which script and why. */
final class RenderFailureTest extends ServerTestCase
{
    /** @return iterable<string, array{string, string, string}> */
    public static function failures(): iterable
    {
        $moods = [
            'sleep' => 'it took longer than 1 s',
            'memory' => 'Allowed memory size',
            'throw' => 'DomainException: in a bad mood',
            'exit' => 'it called exit',
            'large' => 'sse.max_event_size allows',
        ];
        foreach (Catalogue::EACH_SAPI as $server) {
            foreach ($moods as $mood => $reason) {
                yield "$mood on $server" => [$server, $mood, $reason];
            }
        }
    }

    /** @dataProvider failures */
    public function testTheStreamStaysTheLogSaysWhyAndLaterItIsRenderedAgain(
        string $name,
        string $mood,
        string $reason,
    ): void {
        $server = $this->serveStates($name, ['sse.render_timeout' => 1, 'sse.render_concurrency' => 1]);
        $stream = $server->client->openOne('/render/moody.php');
        self::assertSame(['one'], $server->client->awaitEvents($stream, 1));

        $this->write($server, 'mood', $mood);
        $this->write($server, 'state', 'two');
        $server->client->request('/trigger.php?topic=state');
        $this->awaitHubLog($server, $reason);
        self::assertStringContainsString('render/moody.php', $this->hubLog($server));
        $this->write($server, 'mood', '');

        self::assertSame(['one', 'two'], $server->client->awaitEvents($stream, 2));
        self::assertFalse($stream->ended);
        self::assertGreaterThanOrEqual(1, $server->stats()['renders']['failed']);
        self::assertSame(1, $server->openStreams());
    }

    public function testTheLogSaysWhyWhereTheScriptAnswersTheFailureAndFinishesTheResponseItself(): void
    {
        $server = $this->serveStates('nginx-fpm-unix');
        $stream = $server->client->openOne('/render/moody.php?page=finished');
        self::assertSame(['one'], $server->client->awaitEvents($stream, 1));

        $this->write($server, 'mood', 'throw');
        $server->client->request('/trigger.php?topic=state');

        $server->awaitLog('the page of an error is finished');
        $this->awaitHubLog($server, 'DomainException: in a bad mood');
        $this->write($server, 'mood', '');
        $this->write($server, 'go-on', '');
    }

    /** @return iterable<string, array{string, string}> */
    public static function refusals(): iterable
    {
        foreach (Catalogue::EACH_SAPI as $server) {
            yield "redirect on $server" => [$server, 'redirect'];
            yield "garbage on $server" => [$server, 'garbage'];
        }
    }

    /** @dataProvider refusals */
    public function testAnotherAnswerEndsTheStream(string $name, string $mood): void
    {
        $server = $this->serveStates($name);
        $stream = $server->client->openOne('/render/moody.php');

        $this->write($server, 'mood', $mood);
        $server->client->request('/trigger.php?topic=state');

        $server->client->await($stream, static fn (Stream $stream): bool => $stream->ended, 10.0, 'the stream has ended');
        $this->awaitHubLog($server, 'no longer allows the stream');
        $server->awaitClosed('denied', 1);
    }

    public function testOneThatHangsKeepsNoOtherStreamWaiting(): void
    {
        $server = $this->serveStates('nginx-fpm-unix', ['sse.render_concurrency' => 1]);
        $hanging = $server->client->openOne('/render/moody.php');
        $plain = $server->client->openOne('/stream.php?topics=news');
        $this->write($server, 'mood', 'wait');
        $server->client->request('/trigger.php?topic=state');
        $server->awaitLog('the render waits');

        $server->publish('news', 'meanwhile');

        self::assertSame(['meanwhile'], $server->client->awaitEvents($plain, 1));
        $this->write($server, 'state', 'two');
        $this->write($server, 'go-on', '');
        self::assertSame(['one', 'two'], $server->client->awaitEvents($hanging, 2));
    }

    public function testTheWorkerIsKilledInMidRenderAndTheStreamIsRenderedByAnother(): void
    {
        $server = $this->serveStates('nginx-fpm-unix');
        $stream = $this->inMidRender($server);

        $server->killWorkers();

        $this->awaitHubLog($server, 'its process ended');
        self::assertSame(['one', 'two'], $server->client->awaitEvents($stream, 2));
    }

    public function testFpmIsReloadedInMidRenderAndTheStreamCatchesUp(): void
    {
        $server = $this->serveStates('nginx-fpm-unix');
        $stream = $this->inMidRender($server);

        $server->reloadFpm();

        self::assertSame(['one', 'two'], $server->client->awaitEvents($stream, 2));
    }

    /** @return array<string, array{string}> */
    public static function listeners(): array
    {
        return Catalogue::each(['nginx-fpm-unix', 'nginx-fpm-tcp']);
    }

    /** @dataProvider listeners */
    public function testFpmIsStoppedForAWhileAndTheStreamsStayAndCatchUp(string $name): void
    {
        // A hub that FPM's worker had started would end with FPM.
        $server = $this->serveStates($name, ['sse.spawn' => 'off']);
        $commandLine = $this->commandLine(['sse.socket' => $server->socket(), 'sse.spawn' => 'off']);
        $commandLine->startHub(['sse.socket' => $server->socket()], posix_geteuid() === 0 ? ['user' => Php::workerUser()] : []);
        $streams = $server->client->openMany(10, '/render/moody.php');
        $shows = static fn (string ...$states): callable => static fn (Stream $stream): bool => $stream->data() === $states;
        $server->client->awaitAll($streams, $shows('one'), 10.0, 'all have begun');
        $stats = static fn (): array => json_decode($commandLine->run('echo json_encode(sse_stats());'), true);

        $server->stopFpm();
        $this->write($server, 'state', 'two');
        $commandLine->run('SseTrigger::push("state") || exit(1);');
        Deadline::until(
            static fn (): bool => $stats()['renders']['queued'] === 10,
            10.0,
            'all streams wait for their server',
            static fn (): string => json_encode($stats(), JSON_THROW_ON_ERROR),
        );
        self::assertSame(10, $stats()['streams']['open']);
        $server->startFpm();

        $server->client->awaitAll($streams, $shows('one', 'two'), 20.0, 'all have caught up');
        self::assertSame(0, $stats()['renders']['failed']);
    }

    private function inMidRender(Server $server): Stream
    {
        $stream = $server->client->openOne('/render/moody.php');
        self::assertSame(['one'], $server->client->awaitEvents($stream, 1));
        $this->write($server, 'mood', 'wait');
        $server->client->request('/trigger.php?topic=state');
        $server->awaitLog('the render waits');
        $this->write($server, 'state', 'two');
        $this->write($server, 'mood', '');

        return $stream;
    }

    /** @param array<string, string|int> $ini */
    private function serveStates(string $name, array $ini = []): Server
    {
        $server = $this->serve($name, $ini);
        $server->folder->folder('data', 0777);
        $this->write($server, 'state', 'one');

        return $server;
    }

    /** As a whole, so that no render reads half of it. */
    private function write(Server $server, string $file, string $content): void
    {
        $path = "{$server->folder->path}/data/$file";
        file_put_contents("$path.new", $content);
        rename("$path.new", $path);
    }

    private function hubLog(Server $server): string
    {
        return (string) @file_get_contents($server->socket() . '.log');
    }

    private function awaitHubLog(Server $server, string $text): void
    {
        Deadline::until(
            fn (): bool => str_contains($this->hubLog($server), $text),
            15.0,
            "the hub's log says '$text'",
            fn (): string => $this->hubLog($server),
        );
    }
}
