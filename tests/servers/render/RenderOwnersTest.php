<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\FpmServer;
use PhpSse\Tests\Server\Server;
use PhpSse\Tests\Support\Deadline;

/** Who gets what was rendered, when streams come, go and change while renders are under way. */
final class RenderOwnersTest extends ServerTestCase
{
    /** Attack: a user who was demoted goes on in the group of the old role, and the old group gets the new role's data. */
    public function testAStreamWhoseKeyChangedLeavesItsGroupAndNobodyElseGetsItsOutput(): void
    {
        $server = $this->serveStates(['a' => 'admin', 'b' => 'admin']);
        $a = $server->client->openOne('/render/role.php?user=a');
        $b = $server->client->openOne('/render/role.php?user=b');
        $server->client->awaitAll([$a, $b], static fn (Stream $s): bool => $s->data() === ['one for admin'], 10.0, 'both begin');

        $this->write($server, 'roles', json_encode(['a' => 'admin', 'b' => 'user']));
        // Whoever's request is taken first: the second wake takes the other one's.
        foreach (['two', 'three'] as $state) {
            $this->write($server, 'state', $state);
            $this->wake($server, 'roles');
            $server->client->await($a, static fn (Stream $s): bool => in_array("$state for admin", $s->data(), true), 10.0, "A has $state");
        }

        $server->client->await($b, static fn (Stream $s): bool => $s->ended, 10.0, 'B is told to come back');
        self::assertStringNotContainsString('for user', $a->response->body);
        self::assertStringNotContainsString('three', $b->response->body);
        $server->awaitClosed('moved', 1);
        $again = $server->client->openOne('/render/role.php?user=b');
        self::assertSame(['three for user'], $server->client->awaitEvents($again, 1));
    }

    public function testEveryMemberOfAGroupIsAskedInTurn(): void
    {
        $users = array_fill_keys(['a', 'b', 'c', 'd', 'e', 'f'], 'admin');
        $server = $this->serveStates($users);
        $streams = [];
        foreach ($users as $user => $role) {
            $streams[$user] = $server->client->openOne("/render/role.php?user=$user");
        }

        $this->write($server, 'roles', json_encode(['f' => 'gone'] + $users));
        for ($wake = 1; $wake <= count($users) && !$streams['f']->ended; $wake++) {
            $this->write($server, 'state', "wake $wake");
            $this->wake($server, 'roles');
            $server->client->await(
                $streams['a'],
                static fn (Stream $s): bool => in_array("wake $wake for admin", $s->data(), true),
                10.0,
                "wake $wake is rendered",
            );
        }

        $server->client->await($streams['f'], static fn (Stream $s): bool => $s->ended, 10.0, 'the one who was let go has been asked');
        self::assertFalse($streams['a']->ended);
    }

    public function testASlowFirstRunDoesNotReplaceWhatTheGroupHasMeanwhile(): void
    {
        $server = $this->serveStates(['a' => 'admin', 'b' => 'admin']);
        $slow = $server->client->open('/render/role.php?user=b&waits');
        $server->client->await(
            $slow,
            fn (): bool => file_exists("{$server->folder->path}/data/waiting"),
            10.0,
            'the slow one has read the state',
        );
        $fast = $server->client->openOne('/render/role.php?user=a');
        $server->client->awaitEvents($fast, 1);
        $this->write($server, 'state', 'two');
        $this->wake($server, 'roles');
        $server->client->awaitEvents($fast, 2);

        $this->write($server, 'go-on', '');
        $server->client->await($slow, static fn (Stream $s): bool => $s->data() !== [], 10.0, 'the slow one begins');
        $this->write($server, 'state', 'three');
        $this->wake($server, 'roles');

        $last = static fn (Stream $s): bool => array_slice($s->data(), -1) === ['three for admin'];
        $server->client->awaitAll([$slow, $fast], $last, 10.0, 'both have the last state');
        self::assertSame(['one for admin', 'two for admin', 'three for admin'], $fast->data());
    }

    public function testAWakeOfATopicThatARenderHasJustTurnedToIsNotLost(): void
    {
        $server = $this->serve('nginx-fpm-unix');
        $server->folder->folder('data', 0777);
        $this->write($server, 'topic', 'one');
        $this->write($server, 'state', 'old');
        $stream = $server->client->openOne('/render/moving.php');
        self::assertSame(['one: old'], $server->client->awaitEvents($stream, 1));

        $this->write($server, 'topic', 'two');
        $this->wake($server, 'one');

        self::assertSame(['one: old', 'two: old', 'two: new'], $server->client->awaitEvents($stream, 3));
    }

    public function testARequestThatIsLeftOverWhenItsClientHasGoneBecomesNoStream(): void
    {
        $server = $this->serve('nginx-fpm-unix', ['sse.render_concurrency' => 1], ['pm.max_children' => 1]);
        assert($server instanceof FpmServer);
        $server->folder->folder('data', 0777);
        $this->write($server, 'state', 'one');
        $stays = $server->client->openOne('/render/moody.php?topic=other');
        $leaves = $server->client->openOne('/render/moody.php');
        $commandLine = $this->commandLine(['sse.socket' => $server->socket(), 'sse.spawn' => 'off']);
        $stats = static fn (): array => json_decode($commandLine->run('echo json_encode(sse_stats());'), true);
        // The only worker is busy, and the replay waits for it.
        $file = urlencode("{$server->folder->path}/data/go-on");
        $busy = $server->client->openOne("/stream.php?topics=x&after=wait-for-file&file=$file");
        $server->awaitLog('the script runs on');
        $commandLine->run('SseTrigger::push("state") || exit(1);');
        Deadline::until(static fn (): bool => $stats()['renders']['running'] === 1, 10.0, 'the replay is sent');

        $leaves->close();
        Deadline::until(static fn (): bool => $stats()['renders']['streams'] === 1, 10.0, 'its stream has ended');
        $this->write($server, 'go-on', '');

        Deadline::until(static fn (): bool => $stats()['renders']['running'] === 0, 10.0, 'the replay is over, long before its time');
        self::assertSame(0, $stats()['renders']['timed_out']);
        self::assertSame(2, $stats()['streams']['open'], 'the one that stays, and the busy one');
        $this->write($server, 'state', 'two');
        $commandLine->run('SseTrigger::push("other") || exit(1);');
        self::assertSame(['one', 'two'], $server->client->awaitEvents($stays, 2));
        $busy->close();
    }

    public function testAScriptThatHangsIsNotRunAgainWhileItStillDoes(): void
    {
        $server = $this->serve('nginx-fpm-unix', ['sse.render_timeout' => 1], ['pm.max_children' => 4]);
        $server->folder->folder('data', 0777);
        $this->write($server, 'state', 'one');
        $hangs = $server->client->openOne('/render/moody.php');
        $other = $server->client->openOne('/render/moody.php?topic=other');
        $this->write($server, 'mood', 'wait');
        $this->wake($server, 'state');
        Deadline::until(static fn (): bool => $server->stats()['renders']['timed_out'] === 1, 10.0, 'its time is over');
        $this->write($server, 'mood', '');
        $this->write($server, 'state', 'two');
        $this->wake($server, 'other');

        self::assertSame(['one', 'two'], $server->client->awaitEvents($other, 2));
        self::assertSame(1, substr_count($server->phpLog(), 'the render waits'));
        $this->write($server, 'go-on', '');
        self::assertSame(['one', 'two'], $server->client->awaitEvents($hangs, 2));
    }

    /** @return array<string, array{string}> */
    public static function handOffAndBlocking(): array
    {
        return Catalogue::each([...Catalogue::EACH_SAPI, ...Catalogue::BLOCKING]);
    }

    /** @dataProvider handOffAndBlocking */
    public function testEveryRowIsSentOnceAndANewVisitorKeepsTheSession(string $name): void
    {
        $server = $this->serve($name);
        $server->folder->folder('data', 0777);
        $this->write($server, 'rows', "a\nb\n");
        $stream = $server->client->openOne('/render/rows.php');
        self::assertSame(['a', 'b'], $server->client->awaitEvents($stream, 2));

        foreach (["a\nb\nc\n", "a\nb\nc\nd\ne\n"] as $nth => $rows) {
            $this->write($server, 'rows', $rows);
            $this->wake($server, 'rows');
            $server->client->awaitEvents($stream, 3 + 2 * $nth);
        }

        self::assertSame(['a', 'b', 'c', 'd', 'e'], $stream->data());
        self::assertSame(['1', '2', '3', '4', '5'], array_map(static fn ($event): string => $event->id, $stream->parser->events));
        $sessions = file("{$server->folder->path}/data/sessions", FILE_IGNORE_NEW_LINES);
        self::assertCount(1, array_unique($sessions), 'one visitor, one session');
    }

    /** @dataProvider handOffAndBlocking */
    public function testWakesWithoutNewOutputDoNotKeepHeartbeatsBack(string $name): void
    {
        $server = $this->serve($name);
        $server->folder->folder('data', 0777);
        $this->write($server, 'rows', "a\n");
        $stream = $server->client->openOne('/render/rows.php');
        $server->client->awaitEvents($stream, 1);
        $commandLine = $this->commandLine(['sse.socket' => $server->socket(), 'sse.spawn' => 'off']);
        $commandLine->start('while (true) { SseTrigger::push("rows"); usleep(100_000); }');

        $server->client->await($stream, static fn (Stream $s): bool => $s->parser->comments >= 2, 20.0, 'heartbeats come');
        self::assertSame(['a'], $stream->data());
    }

    public function testAReplayHasTheEnvironmentOfThePoolAsItIsNow(): void
    {
        $server = $this->serve('nginx-fpm-unix', [], ['env[REGION]' => 'one']);
        assert($server instanceof FpmServer);
        $stream = $server->client->openOne('/render/region.php');
        self::assertSame(['one'], $server->client->awaitEvents($stream, 1));

        $server->setEnvironment('REGION', 'two');
        $server->reloadFpm();
        $this->wake($server, 'region');

        self::assertSame(['one', 'two'], $server->client->awaitEvents($stream, 2));
    }

    /** @param array<string, string> $roles */
    private function serveStates(array $roles): Server
    {
        $server = $this->serve('nginx-fpm-unix');
        $server->folder->folder('data', 0777);
        $this->write($server, 'state', 'one');
        $this->write($server, 'roles', json_encode($roles));

        return $server;
    }

    private function wake(Server $server, string $topic): void
    {
        if ($this->blocks($server)) {
            // Its workers are busy with streams.
            $this->commandLine(['sse.socket' => $server->socket(), 'sse.spawn' => 'off'])->run("SseTrigger::push('$topic') || exit(1);");

            return;
        }
        self::assertSame(['taken' => true], $server->json("/trigger.php?topic=$topic"));
    }

    private function blocks(Server $server): bool
    {
        return count($server->workers()) < 2;
    }

    private function write(Server $server, string $file, string $content): void
    {
        $path = "{$server->folder->path}/data/$file";
        file_put_contents("$path.new", $content);
        chmod("$path.new", 0666);
        rename("$path.new", $path);
    }
}
