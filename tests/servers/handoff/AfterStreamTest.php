<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Server\Catalogue;

/** Whatever the script does after sse_stream() returned: nothing of it reaches the client, and the stream goes on. */
final class AfterStreamTest extends ServerTestCase
{
    /** @return iterable<string, array{string, string, string}> server, deed, what PHP's log says of it */
    public static function deeds(): iterable
    {
        $deeds = [
            'echo' => 'the script has ended',
            'flush' => 'the script has ended',
            'buffer' => 'the script has ended',
            'shutdown-echo' => 'the shutdown function has run',
            'shutdown-exit' => 'the shutdown function has run',
            'destructor' => 'the destructor has run',
            'header' => 'the script has ended',
            'session' => 'the script has ended',
            'exit' => 'sse_stream returned true',
            'throw' => 'thrown after the hand-off',
            'fatal' => 'undefined function no_such_function',
            'abort-check' => 'connection_aborted: 0',
        ];
        foreach (Catalogue::EACH_SAPI as $server) {
            foreach ($deeds as $deed => $said) {
                yield "$server, $deed" => [$server, $deed, $said];
            }
        }
        foreach (['nginx-fpm-unix', 'nginx-fpm-tcp-keep'] as $server) {
            yield "$server, finish" => [$server, 'finish', 'the script has ended'];
            yield "$server, echo and finish" => [$server, 'echo,finish,echo', 'the script has ended'];
        }
    }

    /** @dataProvider deeds */
    public function testTheStreamIsUntouchedByWhatFollows(string $name, string $deed, string $said): void
    {
        $server = $this->serve($name);
        $stream = $server->client->openOne("/stream.php?topics=news&after=$deed");
        $server->awaitLog('sse_stream returned true');
        $server->awaitLog($said);

        // The worker is free for the next request, and that one's output is its own.
        self::assertStringStartsWith('hello from ', $server->client->request('/hello.php')->body);
        $server->publish('news', 'event', ['id' => '1-1']);
        $server->client->awaitEvents($stream, 1);

        self::assertSame("retry: 2000\n\nid: 1-1\ndata: event\n\n", self::withoutCursor($stream->response->body));
        self::assertFalse($stream->ended);
    }

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each(Catalogue::EACH_SAPI);
    }

    /** @dataProvider servers */
    public function testEventsComeWhileTheScriptStillRunsOn(string $name): void
    {
        $server = $this->serve($name, [], $name === 'php-s' ? ['workers' => 2] : []);
        $file = "{$server->folder->path}/log/go-on";
        $stream = $server->client->openOne('/stream.php?topics=news&after=wait-for-file,echo&file=' . urlencode($file));
        $server->awaitLog('the script runs on');

        $server->publish('news', 'meanwhile', ['id' => '1-1']);

        self::assertSame(['meanwhile'], $server->client->awaitEvents($stream, 1));
        touch($file);
        $server->awaitLog('the script ran on until it was told');
        $server->awaitLog('the script has ended');
        $server->publish('news', 'afterwards', ['id' => '1-2']);
        $server->client->awaitEvents($stream, 2);
        self::assertSame(
            "retry: 2000\n\nid: 1-1\ndata: meanwhile\n\nid: 1-2\ndata: afterwards\n\n",
            self::withoutCursor($stream->response->body),
        );
    }

    /** @dataProvider servers */
    public function testASecondCallInTheSameRequestLeavesTheStreamAlone(string $name): void
    {
        $server = $this->serve($name);
        $stream = $server->client->openOne('/stream.php?topics=news&after=again');
        $server->awaitLog('the second call: SseException');

        $server->publish('news', 'event', ['id' => '1-1']);
        $server->client->awaitEvents($stream, 1);

        self::assertSame("retry: 2000\n\nid: 1-1\ndata: event\n\n", self::withoutCursor($stream->response->body));
        self::assertSame(1, $server->openStreams());
    }
}
