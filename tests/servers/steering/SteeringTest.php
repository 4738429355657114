<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\Server;

/** Other requests end open streams, change what they watch, and leave one out. */
final class SteeringTest extends RenderTestCase
{
    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each(Catalogue::EACH_SAPI);
    }

    /** @dataProvider servers */
    public function testAUsersStreamsEndWholeAndAreToldWhenToComeBack(string $name): void
    {
        $server = $this->serve($name);
        $streams = [$this->open($server, 'topics=news&user=alice'), $this->open($server, 'topics=news&render=1&user=alice')];
        $bobs = $this->open($server, 'topics=news&user=bob');
        $server->client->awaitEvents($streams[1], 2);

        self::assertSame(2, $this->deed($server, 'disconnect', ['user' => 'alice', 'retry' => 5000]));

        foreach ($streams as $stream) {
            $this->awaitCleanEnd($server, $stream);
            self::assertSame(5000, $stream->parser->retry);
        }
        // By GET: nginx may keep the connection of a stream that has just ended, and repeats only what is harmless.
        $this->deed($server, 'publish', ['topics' => 'news', 'data' => 'still here']);
        self::assertSame('still here', $server->client->awaitEvents($bobs, 2)[1]);
        self::assertSame(2, $server->stats()['streams']['closed']['disconnected']);
    }

    public function testAStreamThatIsServedInItsWorkerEndsAsWell(): void
    {
        $server = $this->serve('nginx-fpm-blocking');
        foreach (['', '&render=1'] as $render) {
            $stream = $this->open($server, "topics=news&user=alice$render");

            self::assertSame(1, $this->deed($server, 'disconnect', ['user' => 'alice', 'retry' => 5000]));

            $this->awaitCleanEnd($server, $stream);
            self::assertSame(5000, $stream->parser->retry);
        }
    }

    /** @dataProvider servers */
    public function testTheStreamsOfATopicEndAlsoThoseOfACallback(string $name): void
    {
        $server = $this->serve($name);
        $streams = [$this->open($server, 'topics=news.*'), $this->open($server, 'topics=news.a,x&render=1')];
        $server->client->awaitEvents($streams[1], 2);
        $other = $this->open($server, 'topics=other');

        self::assertNull($this->deed($server, 'disconnect', ['topic' => 'news.a']));

        foreach ($streams as $stream) {
            $this->awaitCleanEnd($server, $stream);
        }
        $this->deed($server, 'publish', ['topics' => 'other', 'data' => 'still here']);
        self::assertSame('still here', $server->client->awaitEvents($other, 2)[1]);
    }

    /** @dataProvider servers */
    public function testEachStreamCountsThatWouldGetAnEvent(string $name): void
    {
        $server = $this->serve($name);
        $streams = [$this->open($server, 'topics=news.a,news.*'), $this->open($server, 'topics=news.a&render=1')];
        $server->client->awaitEvents($streams[1], 2);
        $this->open($server, 'topics=other');

        self::assertSame(2, $this->deed($server, 'watchers', ['topic' => 'news.a']));
        self::assertSame(1, $this->deed($server, 'watchers', ['topic' => 'news.b']));
        // What is published goes to as many, and its receipt says so.
        $event = ['topics' => 'news.a', 'data' => 'told', 'key' => 'once', 'report' => true];
        ['id' => $id] = $first = $this->deed($server, 'publish', $event);
        self::assertSame(['id' => $id, 'watchers' => 2, 'duplicate' => false], $first);
        self::assertSame(['id' => $id, 'watchers' => 0, 'duplicate' => true], $this->deed($server, 'publish', $event));
        self::assertSame('told', $server->client->awaitEvents($streams[0], 2)[1]);
        $but = ['topics' => 'news.a', 'data' => 'x', 'except' => $this->idOf($streams[0]), 'report' => true];
        self::assertSame(1, $this->deed($server, 'publish', $but)['watchers']);
        $this->deed($server, 'disconnect', ['topic' => 'news.a']);
        foreach ($streams as $stream) {
            $this->awaitCleanEnd($server, $stream);
        }
        self::assertSame(0, $this->deed($server, 'watchers', ['topic' => 'news.a']));
    }

    public function testAStreamThatIsServedInItsWorkerCountsAsWell(): void
    {
        $server = $this->serve('nginx-fpm-blocking');
        foreach (['', '&render=1'] as $render) {
            $stream = $this->open($server, "topics=news$render");

            self::assertSame(1, $this->deed($server, 'watchers', ['topic' => 'news']));
            $event = ['topics' => 'news', 'data' => 'x', 'report' => true];
            self::assertSame(1, $this->deed($server, 'publish', $event)['watchers']);
            // It takes one of the two workers.
            $this->deed($server, 'disconnect', ['topic' => 'news']);
            $this->awaitCleanEnd($server, $stream);
        }
    }

    /** @dataProvider servers */
    public function testEachOpenStreamIsListedWithWhatIsKnownOfIt(string $name): void
    {
        $server = $this->serve($name);
        $plain = $this->open($server, 'topics=news,chat.*&user=alice');
        $rendered = $this->open($server, 'topics=news&render=1');
        $server->client->awaitEvents($rendered, 2);
        // The hub writes only once it has the stream from its worker.
        $this->deed($server, 'publish', ['topics' => 'chat.a', 'data' => 'first']);
        $server->client->awaitEvents($plain, 2);

        $all = $this->deed($server, 'streams', []);

        self::assertSame([$this->idOf($plain), $this->idOf($rendered)], array_keys($all));
        [$first, $second] = array_values($all);
        self::assertSame([['chat.*', 'news'], 2, 'alice'], [$first['topics'], $first['topic_count'], $first['user']]);
        self::assertSame(['127.0.0.1', 0, false], [$first['address'], $first['queue'], $first['callback']]);
        self::assertSame([['news'], null, true], [$second['topics'], $second['user'], $second['callback']]);
        self::assertContains($first['framing'], ['fastcgi', 'chunked', 'raw']);
        $this->deed($server, 'publish', ['topics' => 'chat.a', 'data' => str_repeat('x', 1000)]);
        $server->client->awaitEvents($plain, 3);
        $again = $this->deed($server, 'streams', ['topic' => 'chat.a']);
        self::assertSame([$this->idOf($plain)], array_keys($again));
        self::assertGreaterThan($first['bytes'] + 1000, $again[$this->idOf($plain)]['bytes']);
        self::assertSame([$this->idOf($plain)], array_keys($this->deed($server, 'streams', ['user' => 'alice'])));
    }

    public function testAStreamThatIsServedInItsWorkerIsListedAsWell(): void
    {
        $server = $this->serve('nginx-fpm-blocking');
        foreach (['' => 'raw', '&render=1' => 'php'] as $render => $framing) {
            $stream = $this->open($server, "topics=news$render");

            [$listed] = array_values($this->deed($server, 'streams', ['topic' => 'news']));

            self::assertSame([['news'], $framing], [$listed['topics'], $listed['framing']]);
            // It takes one of the two workers.
            $this->deed($server, 'disconnect', ['stream' => $this->idOf($stream)]);
            $this->awaitCleanEnd($server, $stream);
        }
    }

    /** @dataProvider servers */
    public function testAStreamWatchesOtherTopicsWithoutANewConnection(string $name): void
    {
        $server = $this->serve($name);
        $stream = $this->open($server, 'topics=a,b&user=alice');
        $id = $this->idOf($stream);
        [$before] = $server->publish('c', 'before');

        self::assertNull($this->deed($server, 'retopic', ['stream' => $id, 'add' => 'c', 'user' => 'bob']));
        self::assertNull($this->deed($server, 'retopic', ['stream' => 'forged', 'add' => 'c', 'user' => 'alice']));
        $cursor = $this->deed($server, 'retopic', ['stream' => $id, 'add' => 'c', 'remove' => 'b', 'user' => 'alice']);

        self::assertSame($before, $cursor);
        foreach (['b', 'c', 'a'] as $topic) {
            $server->publish($topic, "on $topic");
        }
        self::assertSame(['on c', 'on a'], array_slice($server->client->awaitEvents($stream, 3), 1));
    }

    public function testTheTopicsOfACallbackAreItsScripts(): void
    {
        $server = $this->serve('nginx-fpm-unix');
        $stream = $this->open($server, 'topics=a&render=1');

        $answer = $server->client->request('/steering/deed.php?do=retopic&add=b&stream=' . $this->idOf($stream));

        self::assertSame(500, $answer->status);
        $server->awaitLog("a stream with a callback gets its topics from its script");
    }

    /** @dataProvider servers */
    public function testAllButTheSenderGetWhatItHasSent(string $name): void
    {
        $server = $this->serve($name);
        $sender = $this->open($server, 'topics=chat');
        $rendered = $this->open($server, 'topics=chat&render=1');
        $server->client->awaitEvents($rendered, 2);
        $other = $this->open($server, 'topics=chat');
        $except = [$this->idOf($sender), $this->idOf($rendered), 'no such stream'];

        foreach ($except as $nth => $id) {
            $this->deed($server, 'publish', ['topics' => 'chat', 'data' => "$nth", 'except' => $id]);
        }

        self::assertSame(['0', '1', '2'], array_slice($server->client->awaitEvents($other, 4), 1));
        self::assertSame(['1', '2'], array_slice($server->client->awaitEvents($sender, 3), 1));
        $told = static function () use ($rendered): array {
            $runs = array_map(static fn (string $data): array => json_decode($data, true), array_slice($rendered->data(), 1));

            return array_merge(...array_column($runs, 'events'));
        };
        $server->client->await($rendered, static fn (): bool => count($told()) >= 2, 10.0, 'both events are rendered');
        self::assertSame(['chat 0', 'chat 2'], $told());
    }

    private function open(Server $server, string $query): Stream
    {
        $stream = $server->client->openOne("/steering/stream.php?$query");
        $server->client->awaitEvents($stream, 1);

        return $stream;
    }

    private function idOf(Stream $stream): string
    {
        return json_decode($stream->data()[0], true, 512, JSON_THROW_ON_ERROR)['stream'];
    }

    /** @param array<string, string|int> $arguments */
    private function deed(Server $server, string $function, array $arguments): mixed
    {
        return $server->json('/steering/deed.php?' . http_build_query(['do' => $function] + $arguments))['answer'];
    }
}
