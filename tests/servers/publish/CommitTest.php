<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\Server;
use PhpSse\Tests\Support\Deadline;
use PhpSse\Tests\Support\Proc;

/** Events and notifications held back by sse.publish=commit are sent at the end of a request that succeeded, and dropped otherwise. */
final class CommitTest extends FrameworkTestCase
{
    private const SENT = [
        '', 'exit', 'die with a text', 'warning', 'status 422', 'exception answered with 404',
    ];
    private const DROPPED = [
        'exit 1', 'fatal error', 'uncaught exception', 'exception answered with 500', 'user error', 'status 503',
        'out of memory', 'out of time', 'fatal error, hidden', 'fatal error when it shuts down',
    ];

    /** @return iterable<string, array{string, string, bool}> server, end, whether its events are sent */
    public static function ends(): iterable
    {
        foreach (Catalogue::EACH_SAPI as $server) {
            foreach ([...self::SENT, ...self::DROPPED] as $end) {
                yield "$server: $end" => [$server, $end, in_array($end, self::SENT, true)];
            }
        }
    }

    /** @dataProvider ends */
    public function testTheEndOfTheRequestDecides(string $name, string $end, bool $sent): void
    {
        [$server, $stream] = $this->serveOneByOne($name);

        $server->client->request('/commit.php?end=' . rawurlencode($end));
        $server->publish('news', 'the next request');

        $expected = [...($sent ? ['held 1', 'held 2'] : []), 'the next request'];
        self::assertSame($expected, $server->client->awaitEvents($stream, count($expected)));
        self::assertStringNotContainsString('were not published', $server->phpLog());
    }

    /** @dataProvider servers */
    public function testHowTheLastRequestOfTheProcessEndedIsNothingToTheNext(string $name): void
    {
        [$server, $stream] = $this->serveOneByOne($name);

        $expected = [];
        foreach (self::DROPPED as $end) {
            $server->client->request('/commit.php?end=' . rawurlencode($end));
            $server->client->request('/commit.php?count=1&topic=news');
            $expected[] = 'held 1';
        }

        $server->publish('news', 'the last');
        self::assertSame([...$expected, 'the last'], $server->client->awaitEvents($stream, count($expected) + 1));
    }

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each(Catalogue::EACH_SAPI);
    }

    /** @dataProvider servers */
    public function testTheOrderIsThatOfTheCallsToTheVeryEnd(string $name): void
    {
        [$server, $stream] = $this->serveOneByOne($name);

        $server->client->request('/commit.php?count=1000&end=later+ones');

        $held = array_map(static fn (int $i): string => "held $i", range(1, 1000));
        $later = ['shutdown', 'nested shutdown', 'destructor', 'output buffer'];
        self::assertSame([...$held, ...$later], $server->client->awaitEvents($stream, 1004));
    }

    /** @dataProvider servers */
    public function testWhatIsPublishedAfterTheEndFollowsItsOutcome(string $name): void
    {
        [$server, $stream] = $this->serveOneByOne($name);

        $server->client->request('/commit.php?end=session+handler');
        $server->awaitLog('the session handler got an id');
        $server->client->request('/commit.php?status=500&end=session+handler');
        $server->awaitLog('the session handler got nothing');
        $server->publish('news', 'the next request');

        $expected = ['held 1', 'held 2', 'session handler', 'the next request'];
        self::assertSame($expected, $server->client->awaitEvents($stream, 4));
    }

    /** @dataProvider servers */
    public function testAHubThatIsStoppedCostsTheEventsAndNotTheResponse(string $name): void
    {
        [$server] = $this->serveOneByOne($name, ['sse.timeout' => 300]);
        Proc::whileStopped($server->hub(), static function () use ($server): void {
            self::assertSame('answered', $server->client->request('/commit.php?count=100&topic=a.b,c')->body);
            $server->awaitLog('100 of 100 events held back until the end of the request were not published');
        });
        self::assertMatchesRegularExpression(
            '/^\[.*\] sse: 100 of 100 .* were not published \(of 64 it is not known\): the hub did not answer within '
                . '\d+ms \(sse\.timeout\); it is not known .*; topics: a\.b, c$/m',
            $server->phpLog(),
        );
        self::assertStringNotContainsString('held 1', $server->phpLog());
    }

    public function testFpmSendsTheResponseBeforeItWaitsForTheHub(): void
    {
        // Longer than the test waits for anything.
        [$server, $stream] = $this->serveOneByOne('nginx-fpm-unix', ['sse.timeout' => 600_000]);
        $ask = static fn (): string => $server->client->request('/commit.php')->body;
        self::assertSame('answered', Proc::whileStopped($server->hub(), $ask));
        self::assertSame(['held 1', 'held 2'], $server->client->awaitEvents($stream, 2));
    }

    /** @dataProvider servers */
    public function testAHubThatDiesMeanwhileIsReplaced(string $name): void
    {
        [$server] = $this->serveOneByOne($name);
        $go = "{$server->folder->path}/go";
        $first = $server->hub();
        $request = $server->client->open('/commit.php?end=file&file=' . rawurlencode($go));
        $waits = static fn (): bool => str_contains($server->phpLog(), 'the script waits');
        $server->client->await($request, $waits, 20.0, 'the script waits');
        posix_kill($first, SIGKILL);
        Deadline::until(static fn (): bool => !Proc::isAlive($first), 10.0, 'the hub is dead');
        touch($go);
        $server->client->await($request, static fn (Stream $stream): bool => $stream->ended, 20.0, 'it is answered');

        $stats = $server->stats();
        self::assertNotSame($first, $stats['pid']);
        self::assertSame(2, $stats['published']);
    }

    /** @dataProvider servers */
    public function testARequestThatStreamsSendsThemWhenItHandsOver(string $name): void
    {
        $server = $this->serve($name);
        $news = $server->client->openOne('/stream.php?topics=news');

        $server->client->openOne('/commit-stream.php');
        self::assertSame(['held'], $server->client->awaitEvents($news, 1));
        $stream = $server->client->openOne('/commit-stream.php?render=1');
        self::assertSame('the first run', $server->client->awaitEvents($news, 2)[1]);
        $server->client->awaitEvents($stream, 1);
        $server->publish('changed', '');
        $server->client->awaitEvents($stream, 2);
        self::assertSame('a replay', $server->client->awaitEvents($news, 3)[2]);
    }

    /** @return array<string, array{string}> */
    public static function blockingServers(): array
    {
        return Catalogue::each(Catalogue::BLOCKING);
    }

    /** @dataProvider blockingServers */
    public function testARequestThatIsServedInItsWorkerSendsThemWhenTheClientHasLeft(string $name): void
    {
        $server = $this->serve($name);
        $before = $server->stats()['published'];
        $stream = $server->client->openOne('/commit-stream.php');
        self::assertSame($before, $server->stats()['published']);

        $stream->close();

        $published = static fn (): bool => $server->stats()['published'] === $before + 1;
        Deadline::until($published, 20.0, 'the event is published');
    }

    public function testWhatAFrameworkAnswersWith500IsDropped(): void
    {
        $server = $this->serveApplications('nginx-fpm-unix', [], ['pm.max_children' => 1]);
        $stream = $server->client->openOne('/stream.php?topics=news');
        $user = self::user($server, 'slim');

        $answers = [];
        foreach (['1', ''] as $fail) {
            $fields = ['topic' => 'news', 'data' => "fail=$fail", 'mode' => 'commit', 'fail' => $fail];
            $path = self::path('slim', '/publish');
            $answers[] = $server->client->request($path, $user, 'POST', http_build_query($fields))->status;
        }
        self::assertSame([500, 200], $answers);
        self::assertSame(['fail='], $server->client->awaitEvents($stream, 1));
    }

    /** @return iterable<string, array{string, int, bool}> code, exit status, whether its event is sent */
    public static function programs(): iterable
    {
        yield 'to its end' => ['', 0, true];
        yield 'exit' => ['exit;', 0, true];
        yield 'exit with a text' => ['exit("done");', 0, true];
        yield 'exit with 0' => ['exit(0);', 0, true];
        yield 'exit with 3' => ['exit(3);', 3, false];
        yield 'a fatal error' => ['no_such_function();', 255, false];
        yield 'an uncaught exception' => ['throw new Exception("x");', 255, false];
        yield 'memory_limit' => ['ini_set("memory_limit", "8M"); str_repeat("x", 64 << 20);', 255, false];
        yield 'max_execution_time' => ['set_time_limit(1); while (true) { hash("md5", "x"); }', 255, false];
        yield 'a shutdown function that fails' => ['register_shutdown_function("exit_with_4");
            function exit_with_4() { sse_publish("news", "more"); exit(4); }', 4, false];
    }

    /** @dataProvider programs */
    public function testOnTheCommandLineTheExitStatusDecides(string $code, int $status, bool $sent): void
    {
        $commandLine = $this->commandLine(['sse.publish' => 'commit']);
        $reader = $commandLine->subscribe(['news']);

        $commandLine->run("sse_publish('news', 'held'); $code", code: $status);
        $commandLine->run('publish.php', ['news', 'the last'], ['sse.publish' => 'ack']);

        $commandLine::awaitOutput($reader, '"the last"');
        self::assertSame($sent ? 1 : 0, substr_count($reader->output(), '"held"'));
    }

    /** @dataProvider programs */
    public function testANotificationIsHeldBackLikeAnEvent(string $code, int $status, bool $sent): void
    {
        $commandLine = $this->commandLine(['sse.publish' => 'commit']);
        $reader = $commandLine->subscribe(['news', 'orders']);

        $during = "sse_publish('news', 'during', mode: 'ack');";
        $commandLine->run("SseTrigger::push('orders') || exit(9); SseTrigger::push('orders'); $during $code", code: $status);
        $commandLine->run('publish.php', ['news', 'the last'], ['sse.publish' => 'ack']);

        $commandLine::awaitOutput($reader, '"the last"');
        preg_match_all('/"(during|orders|the last)"/', $reader->output(), $told);
        self::assertSame(['during', ...($sent ? ['orders'] : []), 'the last'], $told[1], $reader->output());
    }

    public function testAForkedChildSendsItsOwnAndNotItsParents(): void
    {
        $commandLine = $this->commandLine(['sse.publish' => 'commit']);
        $reader = $commandLine->subscribe(['news']);

        $commandLine->run(<<<'PHP'
            sse_publish('news', 'before the fork');
            $child = pcntl_fork();
            if ($child === 0) {
                sse_publish('news', 'of the child');
                exit(0);
            }
            $second = pcntl_fork();
            if ($second === 0) {
                exit(0);
            }
            pcntl_waitpid($child, $status);
            pcntl_waitpid($second, $status);
            sse_publish('news', 'of the parent');
            PHP);
        $commandLine->run('publish.php', ['news', 'the last'], ['sse.publish' => 'ack']);

        $commandLine::awaitOutput($reader, '"the last"');
        preg_match_all('/"data":"([^"]+)"/', $reader->output(), $data);
        self::assertSame(['of the child', 'before the fork', 'of the parent', 'the last'], $data[1]);
    }

    /**
     * With one worker, so that the next request begins when the one before is over.
     *
     * @param array<string, string|int> $ini
     * @return array{Server, Stream}
     */
    private function serveOneByOne(string $name, array $ini = []): array
    {
        $server = $this->serve($name, $ini, ['pm.max_children' => 1]);

        return [$server, $server->client->openOne('/stream.php?topics=news')];
    }
}
