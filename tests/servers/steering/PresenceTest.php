<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Event;
use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\Server;
use PhpSse\Tests\Support\Deadline;

/** Who is there: on every kind of server, whether a stream leaves its worker or not. */
final class PresenceTest extends ServerTestCase
{
    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each([...Catalogue::EACH_SAPI, 'nginx-fpm-blocking']);
    }

    /** @dataProvider servers */
    public function testAUserIsThereFromTheFirstStreamToTheGraceAfterTheLast(string $name): void
    {
        $server = $this->serve($name, ['sse.presence_grace' => 300], ['pm.max_children' => 8]);
        $watcher = $this->open($server, 'topics=room&id=watcher&events=1');
        self::assertSame(['presence.list 1 watcher'], $this->told($server, $watcher, 1));

        $one = $this->open($server, 'topics=room,other.*&id=42');
        $two = $this->open($server, 'topics=room&id=42');
        self::assertSame('presence.join 2 42', $this->told($server, $watcher, 2)[1]);
        $members = $this->ask($server, 'room');
        self::assertSame(2, $members['count']);
        self::assertSame([42, 'watcher'], array_keys($members['members']));
        self::assertSame(['name' => '42'], $members['members'][42]['info']);
        self::assertSame(2, $members['members'][42]['streams']);
        self::assertIsFloat($members['members'][42]['since']);
        self::assertEqualsWithDelta(microtime(true), $members['members'][42]['since'], 600.0);
        self::assertSame([42], array_keys($this->ask($server, 'room', '&limit=1')['members']));
        self::assertSame(['watcher'], array_keys($this->ask($server, 'room', '&after=42')['members']));

        $one->close();
        Deadline::until(fn (): bool => $this->ask($server, 'room')['members'][42]['streams'] === 1, 20.0, 'one stream is left');
        $two->close();
        self::assertSame('presence.leave 1 42', $this->told($server, $watcher, 3)[2]);
        self::assertSame(['watcher'], array_keys($this->ask($server, 'room')['members']));
        self::assertSame(['members' => [], 'count' => 0], $this->ask($server, 'other'));
        self::assertSame(['topics' => 1, 'members' => 1, 'joins' => 2, 'leaves' => 1], $server->stats()['presence']);
    }

    public function testCallbacksHearOfIt(): void
    {
        foreach (['nginx-fpm-unix', 'php-s'] as $name) {
            $server = $this->serve($name, ['sse.presence_grace' => 0]);
            $stream = $this->open($server, 'topics=%24presence.room&render=1');
            self::assertSame(['[]'], $server->client->awaitEvents($stream, 1));

            $this->open($server, 'topics=room&id=ann')->close();

            $heard = static fn (): array => array_merge(
                ...array_map(static fn (string $data): array => json_decode($data, true), $stream->data()),
            );
            $server->client->await($stream, static fn (): bool => count($heard()) >= 2, 20.0, 'the callback has heard of both');
            $heard = $heard();
            self::assertSame(['$presence.room', 'presence.join'], array_slice($heard[0], 0, 2));
            self::assertSame(['$presence.room', 'presence.leave'], array_slice($heard[1], 0, 2));
            self::assertSame('ann', json_decode($heard[1][2], true)['members'][0]['id']);
        }
    }

    public function testAStreamWithACallbackIsPresentAndAnUpgradeIsNoLeave(): void
    {
        $server = $this->serve('nginx-fpm-unix', ['sse.presence_grace' => 100]);
        $watcher = $this->open($server, 'topics=room&events=1');
        $stream = $this->open($server, 'topics=room&id=ann&render=1');
        self::assertSame(['presence.list 0 ', 'presence.join 1 ann'], $this->told($server, $watcher, 2));
        $before = $this->ask($server, 'room');

        $server->client->request('/upgrade.php');

        self::assertSame($before, $this->ask($server, 'room'));
        $stream->close();
        self::assertSame('presence.leave 0 ann', $this->told($server, $watcher, 3)[2]);
    }

    private function open(Server $server, string $query): Stream
    {
        return $server->client->openOne("/presence.php?$query");
    }

    /** @return array{members: array<array{info: mixed, since: float, streams: int}>, count: int} */
    private function ask(Server $server, string $topic, string $more = ''): array
    {
        return $server->json("/presence.php?ask=$topic$more");
    }

    /** @return list<string> type, count and ids of so many events */
    private function told(Server $server, Stream $stream, int $count): array
    {
        $server->client->awaitEvents($stream, $count);

        return array_map(static function (Event $event): string {
            $data = json_decode($event->data, true, 512, JSON_THROW_ON_ERROR);

            return "{$event->name} {$data['count']} " . implode(',', array_column($data['members'], 'id'));
        }, array_slice($stream->parser->events, 0, $count));
    }
}
