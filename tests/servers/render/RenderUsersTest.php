<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Server;
use PhpSse\Tests\Support\Deadline;

/** A thousand users on two workers: everyone's stream shows their own record, as it is now. */
final class RenderUsersTest extends ServerTestCase
{
    private const USERS = 1_000;
    private const CHANGES = 100;

    public function testEveryUsersStreamEndsWithTheNewestStateOfThatUserAndNoByteOfAnother(): void
    {
        $seed = random_int(0, PHP_INT_MAX);
        mt_srand($seed);
        $server = $this->serve('nginx-fpm-unix', ['sse.render_concurrency' => 1], ['pm.max_children' => 4]);
        $server->folder->folder('data', 0777);
        $streams = $this->open($server);

        for ($change = 0; $change < self::CHANGES; $change++) {
            $users = array_map(static fn (): int => mt_rand(1, self::USERS), range(1, 20));
            $server->json('/render/change.php?users=' . implode(',', $users));
            self::assertSame(200, $server->client->request('/hello.php')->status, "an ordinary request, seed $seed");
        }

        $server->client->awaitAll(
            $streams,
            fn (Stream $stream): bool => $this->newest($server, array_search($stream, $streams, true)) === $this->shown($stream),
            60.0,
            "every stream shows its user's newest version (seed $seed)",
        );
        foreach ($streams as $user => $stream) {
            preg_match_all('/<mark of \d+>/', $stream->response->body, $marks);
            self::assertSame(["<mark of $user>"], array_unique($marks[0]), "seed $seed");
            self::assertSame([$user], array_unique(array_column(array_map('json_decode', $stream->data()), 'user')));
        }
        // A script goes on for a moment after its output was taken. One that is late, as on a busy machine, has given up its place.
        $busy = static fn (): string => (string) file_get_contents("{$server->folder->path}/data/busy");
        $what = 'no render goes on, and at most one ever did beside one that was late';
        Deadline::until(static fn (): bool => in_array($busy(), ['0 1', '0 2'], true), 10.0, $what, $busy);
        $renders = $server->stats()['renders'];
        self::assertSame([self::USERS, 0, 0], [$renders['streams'], $renders['failed'], $renders['queued']]);
        self::assertLessThanOrEqual(20 * self::CHANGES, $renders['done'], 'no more renders than changes');
    }

    public function testAUserWhoLoggedOutLosesTheStreamAtTheNextWakeAndOthersDoNot(): void
    {
        $server = $this->serve('nginx-fpm-unix');
        $server->folder->folder('data', 0777);
        $cookies = [1 => $this->logIn($server, 1), 2 => $this->logIn($server, 2)];
        $one = $server->client->openOne('/render/user.php', $cookies[1]);
        $two = $server->client->openOne('/render/user.php', $cookies[2]);

        $server->client->request('/render/login.php', $cookies[1]);
        $server->json('/render/change.php?users=1,2');

        $server->client->await($one, static fn (Stream $stream): bool => $stream->ended, 10.0, 'the stream has ended');
        self::assertSame([0], array_column(array_map('json_decode', $one->data()), 'version'));
        $server->client->awaitEvents($two, 2);
        self::assertFalse($two->ended);
        self::assertSame(401, $server->client->request('/render/user.php', $cookies[1])->status);
        $server->awaitClosed('denied', 1);
    }

    public function testAUserWhoseSessionWasDeletedLosesTheStreamAtTheNextWake(): void
    {
        $server = $this->serve('nginx-fpm-unix');
        $server->folder->folder('data', 0777);
        $stream = $server->client->openOne('/render/user.php', $this->logIn($server, 1));

        array_map('unlink', glob("{$server->folder->path}/sessions/*") ?: []);
        $server->json('/render/change.php?users=1');

        $server->client->await($stream, static fn (Stream $stream): bool => $stream->ended, 10.0, 'the stream has ended');
        $server->awaitClosed('denied', 1);
    }

    /** @return array<int, Stream> by user */
    private function open(Server $server): array
    {
        $streams = [];
        foreach (array_chunk(range(1, self::USERS), 50) as $users) {
            $group = [];
            foreach ($users as $user) {
                $group[$user] = $server->client->open('/render/user.php', $this->logIn($server, $user));
            }
            $server->client->awaitAll(
                array_values($group),
                static fn (Stream $stream): bool => $stream->data() !== [],
                20.0,
                'the streams of the group have shown the first state',
            );
            $streams += $group;
        }

        return $streams;
    }

    /** @return array<string, string> the header that says who it is */
    private function logIn(Server $server, int $user): array
    {
        return ['Cookie' => 'PHPSESSID=' . $server->client->request("/render/login.php?user=$user")->body];
    }

    private function newest(Server $server, int $user): int
    {
        return (int) @file_get_contents("{$server->folder->path}/data/user-$user");
    }

    private function shown(Stream $stream): int
    {
        $data = $stream->data();

        return json_decode(end($data))->version;
    }
}
