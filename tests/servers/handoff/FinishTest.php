<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\Server;

/** Streams that end for good: their clients get the last event, and 204 when they come back, which stops an EventSource. */
final class FinishTest extends RenderTestCase
{
    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each(
            ['nginx-fpm-unix', 'apache-mod-php', 'php-s', 'nginx-fpm-blocking', 'php-s-blocking', ...Catalogue::POLYFILL],
        );
    }

    /** @dataProvider servers */
    public function testAFinishedTopicEndsItsStreamsAndItsClientsDoNotComeBack(string $name): void
    {
        $server = $this->serve($name);
        $stream = $server->client->openOne('/stream.php?topics=job');
        [$half] = $server->publish('job', '50');
        [$last] = $server->publish('job', '100', ['finish' => 1, 'event' => 'done']);
        $this->awaitCleanEnd($server, $stream);
        $body = "id: $half\ndata: 50\n\nid: $last\nevent: done\ndata: 100\n\n";
        self::assertStringEndsWith($body, $stream->response->body);

        $this->assertOver($server, '/stream.php?topics=job', $last);
        // One that has missed the end, and one that begins only now.
        foreach ([['Last-Event-ID' => $half], []] as $headers) {
            $late = $server->client->open('/stream.php?topics=job', $headers);
            $this->awaitCleanEnd($server, $late);
            self::assertSame(['100'], $late->data());
            self::assertSame($last, $late->parser->events[0]->id);
        }

        [$again] = $server->publish('job', 'again');
        $stream = $server->client->openOne('/stream.php?topics=job', ['Last-Event-ID' => $last]);
        self::assertSame(['again'], $server->client->awaitEvents($stream, 1));
        self::assertNotSame($last, $again);
        $server->awaitLog('sse_stream returned false');
    }

    /** @return iterable<string, array{string, string}> server, kind of end */
    public static function ends(): iterable
    {
        foreach (self::servers() as [$server]) {
            foreach (['value', 'nothing', 'last of an array', 'last of a generator'] as $kind) {
                yield "$server: $kind" => [$server, $kind];
            }
        }
    }

    /** @dataProvider ends */
    public function testACallbackEndsItsStream(string $name, string $kind): void
    {
        $server = $this->serve($name);
        $this->tell($server, 'shown', 'half');
        $path = '/replay/page.php?topics=job&callback=until-over';
        $stream = $server->client->openOne($path);
        $server->client->awaitEvents($stream, 1);

        $this->tell($server, 'shown', 'all');
        $this->tell($server, 'over', $kind);
        $this->trigger($server, 'job');
        $this->awaitCleanEnd($server, $stream);
        $last = $kind === 'nothing' ? [] : ['all'];
        self::assertSame(['half', ...$last], $stream->data());
        // As a browser does: the last id line that came.
        $id = preg_match_all('/^id: (.+)$/m', $stream->response->body, $found) ? end($found[1]) : '';

        $this->assertOver($server, $path, $id);
        if ($last !== []) {
            $late = $server->client->open($path);
            $this->awaitCleanEnd($server, $late);
            self::assertSame([200, ['all']], [$late->response->status, $late->data()]);
            // A result that is another one is sent as well.
            $this->tell($server, 'shown', 'corrected');
            $late = $server->client->open($path, ['Last-Event-ID' => $id]);
            $this->awaitCleanEnd($server, $late);
            self::assertSame(['corrected'], $late->data());
        }
    }

    /** @return array<string, array{string}> */
    public static function handOffServers(): array
    {
        return Catalogue::each(Catalogue::EACH_SAPI);
    }

    /** @dataProvider handOffServers */
    public function testAReplayThatAnswers204EndsTheStreamTheSameWay(string $name): void
    {
        $server = $this->serve($name);
        $this->tell($server, 'shown', 'half');
        $stream = $server->client->openOne('/replay/page.php?topics=job&callback=shown');
        $server->client->awaitEvents($stream, 1);

        $this->tell($server, 'gate', '204');
        $this->trigger($server, 'job');
        $this->awaitCleanEnd($server, $stream);

        $server->awaitOpenStreams(0);
        self::assertSame(1, $server->stats()['streams']['closed']['finished']);
        $this->assertOver($server, '/replay/page.php?topics=job&callback=shown', '');
    }

    /** A client that has it all is answered with 204 and nothing else, whatever the method. */
    private function assertOver(Server $server, string $path, string $id): void
    {
        foreach (['GET', 'HEAD'] as $method) {
            // The callback of a stream with one does not run for HEAD.
            if ($method === 'HEAD' && str_contains($path, 'callback')) {
                continue;
            }
            $response = $server->client->request($path, $id === '' ? [] : ['Last-Event-ID' => $id], $method);
            self::assertSame([204, ''], [$response->status, $response->body], $response->summary());
        }
    }
}
