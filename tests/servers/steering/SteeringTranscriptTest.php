<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\Php;
use PhpSse\Tests\Server\Redis;
use PhpSse\Tests\Server\Server;
use PhpSse\Tests\Server\TempFolder;
use PhpSse\Tests\Support\Deadline;

/**
 * All that a client is told of steering, byte for byte, against a file for people to read: the same on each kind of server, with a
 * stream that is served in its worker, and wherever events are kept. How servers frame these bytes is TranscriptTest's.
 *
 * SSE_TRANSCRIPTS=write writes the file anew; look at the difference before committing it.
 */
final class SteeringTranscriptTest extends RenderTestCase
{
    private const CHANGING = [
        '/"stream":"[\w-]{22}"/' => '"stream":"(its id)"',
        '/"since":\d+/' => '"since":(a time)',
        '/^id: \d{13}-\d+$/m' => 'id: (the hub\'s)',
    ];

    private ?Redis $redis = null;

    protected function tearDown(): void
    {
        parent::tearDown();
        $this->redis?->stop();
    }

    /** @return iterable<string, array{string, string}> server, where events are kept */
    public static function places(): iterable
    {
        foreach ([...Catalogue::EACH_SAPI, 'nginx-fpm-blocking'] as $name) {
            yield "$name: memory" => [$name, 'memory'];
        }
        foreach (['SQLite', 'Redis'] as $store) {
            yield "nginx-fpm-unix: $store" => ['nginx-fpm-unix', $store];
        }
    }

    /** @dataProvider places */
    public function testTheBytesAreThoseOfTheTranscript(string $name, string $store): void
    {
        $folder = new TempFolder();
        $server = $this->serve($name, match ($store) {
            'memory' => [],
            'SQLite' => ['sse.history' => 'sqlite:' . $folder->folder('history', 0700, Php::workerUser()) . '/sse.db'],
            'Redis' => ['sse.bus' => ($this->redis = new Redis())->url()],
        } + ['sse.presence_grace' => 0], ['pm.max_children' => 8]);
        if ($store === 'Redis') {
            $state = static fn (): array => [$server->stats()['bus']['state'], $server->stats()['bus']['presence']['state']];
            Deadline::until(static fn (): bool => $state() === ['connected', 'connected'], 20.0, 'Redis is there');
        }
        $receipts = [];
        $publish = function (string $data, array $more = []) use ($server, &$receipts): void {
            $event = ['topics' => 'room', 'data' => $data, 'id' => "e-$data", 'report' => true];
            $receipts[$data] = $this->deed($server, 'publish', $more + $event);
        };
        $publish('kept', ['retain' => true]);

        $ann = $this->open($server, 'topics=room&id=ann&events=1&retained=1&user=alice');
        $id = json_decode($ann->data()[0], true, 512, JSON_THROW_ON_ERROR)['stream'];
        $bob = $this->open($server, 'topics=room&id=bob');
        $this->await($server, $ann, 'presence.join');
        $publish('from-ann', ['except' => $id]);
        $publish('newest', ['latest' => true]);
        $publish('spread', ['spread' => 20]);
        $publish('once', ['key' => 'k']);
        $publish('twice', ['key' => 'k', 'event' => 'never']);
        $retopic = ['stream' => $id, 'user' => 'alice'];
        self::assertNotNull($this->deed($server, 'retopic', $retopic + ['add' => 'side']));
        $publish('aside', ['topics' => 'side']);
        self::assertNotNull($this->deed($server, 'retopic', $retopic + ['remove' => 'side']));
        $publish('unheard', ['topics' => 'side']);
        $this->await($server, $ann, 'e-aside');
        $bob->close();
        $this->await($server, $ann, 'presence.leave');
        $last = $this->deed($server, 'finish', ['topic' => 'room', 'data' => 'the last', 'event' => 'done']);
        $this->awaitCleanEnd($server, $ann);

        $watchers = array_map(static fn (array $receipt): array => [$receipt['watchers'], $receipt['duplicate']], $receipts);
        self::assertSame(
            [
                'kept' => [0, false],
                'from-ann' => [1, false],
                'newest' => [2, false],
                'spread' => [2, false],
                'once' => [2, false],
                'twice' => [0, true],
                'aside' => [1, false],
                'unheard' => [0, false],
            ],
            $watchers,
        );
        $again = $server->client->request('/steering/stream.php?topics=room', ['Last-Event-ID' => $last]);
        $body = preg_replace(array_keys(self::CHANGING), self::CHANGING, $ann->response->body);
        $this->assertTranscript("$body(comes back with the last event's id: $again->status)\n");
    }

    private function open(Server $server, string $query): Stream
    {
        $stream = $server->client->openOne("/steering/stream.php?heartbeat=60&$query");
        $server->client->awaitEvents($stream, 1);

        return $stream;
    }

    private function await(Server $server, Stream $stream, string $text): void
    {
        $has = static fn (Stream $stream): bool => str_contains($stream->response->body, $text);
        $server->client->await($stream, $has, 20.0, "'$text' has come");
    }

    /** @param array<string, string|int|bool> $arguments */
    private function deed(Server $server, string $function, array $arguments): mixed
    {
        return $server->json('/steering/deed.php?' . http_build_query(['do' => $function] + $arguments))['answer'];
    }

    private function assertTranscript(string $transcript): void
    {
        $file = __DIR__ . '/transcript.txt';
        if (getenv('SSE_TRANSCRIPTS') === 'write') {
            file_put_contents($file, $transcript);
        }
        self::assertStringEqualsFile($file, $transcript);
    }
}
