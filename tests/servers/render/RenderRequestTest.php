<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Server\Catalogue;

/** A replay is the original request once more: a script can't tell the two apart but by sse_render(). */
final class RenderRequestTest extends RenderTestCase
{
    /** Different each time by their nature. */
    private const OF_THE_TIME = ['REQUEST_TIME', 'REQUEST_TIME_FLOAT', 'HTTP_LAST_EVENT_ID'];

    /** @return iterable<string, array{string, string, string, array<string, string>, string}> */
    public static function requests(): iterable
    {
        $json = '{"text":"' . str_repeat('ü', 32_762) . '"}';
        $requests = [
            'GET with all that a request has' => ['GET', '/replay/dump.php/path/info?a=1&b[]=%20%2F&empty', [
                'Host' => 'www.example.org:81',
                'Cookie' => 'PHPSESSID=abc; other=%20x',
                'Authorization' => 'Basic ' . base64_encode('alice:secret:colon'),
                'Accept-Language' => 'de, en;q=0.5',
                'User-Agent' => 'Tests/1.0 (äöü)',
                'X-Forwarded-For' => '192.0.2.1, 192.0.2.2',
                'X-Empty' => '',
                'Origin' => 'https://example.org',
                'Referer' => 'https://example.org/?x=y',
                'Cache-Control' => 'no-cache',
                'Accept' => 'text/event-stream',
            ], ''],
            'GET with a bearer token' => ['GET', '/replay/dump.php', ['Authorization' => 'Bearer x.y.z'], ''],
            'POST of a form' => ['POST', '/replay/dump.php?a=1', [
                'Content-Type' => 'application/x-www-form-urlencoded',
            ], 'b=2&c%5Bd%5D=%C3%BC'],
            'POST of JSON as large as is kept' => ['POST', '/replay/dump.php', [
                'Content-Type' => 'application/json; charset=utf-8',
            ], str_pad($json, 65_536)],
            'PUT' => ['PUT', '/replay/dump.php?id=7', ['Content-Type' => 'text/plain', 'If-Match' => '"1"'], 'text'],
        ];
        foreach (Catalogue::HAND_OFF as $server) {
            foreach ($requests as $title => $request) {
                // Caddy's site has but its own name.
                unset($request[2][$server === 'caddy-fpm' ? 'Host' : '']);
                yield "$server, $title" => [$server, ...$request];
            }
        }
    }

    /**
     * @dataProvider requests
     * @param array<string, string> $headers
     */
    public function testAReplayIsTheSameRequest(
        string $name,
        string $method,
        string $path,
        array $headers,
        string $body,
    ): void {
        $server = $this->serve($name);
        $stream = $server->client->open($path, $headers, $method, $body);
        $server->client->awaitEvents($stream, 1);
        $server->publish('dump', 'one');
        $server->client->awaitEvents($stream, 2);
        $server->publish('dump', 'two');
        $server->client->awaitEvents($stream, 3);

        [$original, $first, $second] = self::decoded($stream);
        self::assertNull($original['render']);
        self::assertSame([$method, strlen($body)], [$original['SERVER']['REQUEST_METHOD'], $original['input']['bytes']]);
        foreach ([$first, $second] as $replay) {
            self::assertSame('wake', $replay['render']['reason']);
            self::assertSame(self::comparable($original), self::comparable($replay));
            self::assertShowsNoToken($replay);
        }
    }

    /** @dataProvider servers */
    public function testAHeaderThatCameTwiceIsSentAgain(string $name): void
    {
        $server = $this->serve($name);
        $stream = $server->client->openOne(
            '/replay/page.php?topics=news&callback=twice&only_changes=0',
            ['X-Twice' => 'one', 'x-twice' => 'two', 'X-twice' => 'three', 'X-Other' => 'other'],
        );
        $server->client->awaitEvents($stream, 1);
        $server->publish('news', 'event');

        [$original, $replay] = $server->client->awaitEvents($stream, 2);
        self::assertStringContainsString('three', $original);
        self::assertSame($original, $replay);
    }

    /** @dataProvider chunkedServers */
    public function testABodyThatCameInChunksIsSentAgain(string $name): void
    {
        $server = $this->serve($name);
        $stream = $server->client->open(
            '/replay/dump.php',
            ['Transfer-Encoding' => 'chunked', 'Content-Type' => 'application/x-www-form-urlencoded'],
            'POST',
            "4\r\na=1&\r\n5\r\nb=2&c\r\n0\r\n\r\n",
        );
        $server->client->awaitEvents($stream, 1);
        $server->publish('dump', 'one');
        $server->client->awaitEvents($stream, 2);

        [$original, $replay] = self::decoded($stream);
        self::assertSame(['a' => '1', 'b' => '2', 'c' => ''], $original['POST']);
        self::assertSame($original['POST'], $replay['POST']);
        self::assertSame($original['input'], $replay['input']);
    }

    /** @return array<string, array{string}> */
    public static function chunkedServers(): array
    {
        // php -S knows no such bodies, and Caddy passes none on.
        return Catalogue::each(['nginx-fpm-unix', 'apache-fcgi', 'apache-mod-php']);
    }

    /** @dataProvider servers */
    public function testTheLastEventIdOfAReplayIsThatOfTheStreamNow(string $name): void
    {
        $server = $this->serve($name);
        $stream = $server->client->openOne('/replay/page.php?topics=news&callback=last-id&only_changes=0', ['Last-Event-ID' => 'old']);
        foreach (['first', '', 'second', '', ''] as $nth => $id) {
            $server->client->awaitEvents($stream, $nth + 1);
            $server->publish('news', $id);
        }
        $server->client->awaitEvents($stream, 6);

        self::assertSame(
            [[null, 'old'], ['old', 'old'], ['first', 'first'], ['first', 'first'], ['second', 'second'], ['second', 'second']],
            self::decoded($stream),
        );
        self::assertSame(['', 'first', 'first', 'second', 'second', 'second'], array_column($stream->parser->events, 'id'));
    }

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each(Catalogue::EACH_SAPI);
    }

    /** @return iterable<string, array{string, array<string, string>, string, string}> */
    public static function requestsThatCantBeSentAgain(): iterable
    {
        $file = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\n\r\ncontent\r\n--b--\r\n";
        $requests = [
            'a large form' => [
                ['Content-Type' => 'application/x-www-form-urlencoded'],
                'a=' . str_repeat('b', 65_535),
                'its body has more than 64 KiB',
            ],
            'an upload' => [['Content-Type' => 'multipart/form-data; boundary=b'], $file, 'a form with files'],
        ];
        foreach (['nginx-fpm-unix', 'apache-mod-php', 'php-s-workers'] as $server) {
            foreach ($requests as $title => $request) {
                yield "$server, $title" => [$server, ...$request];
            }
        }
    }

    /**
     * @dataProvider requestsThatCantBeSentAgain
     * @param array<string, string> $headers
     */
    public function testWhatCantBeSentAgainIsRefused(
        string $name,
        array $headers,
        string $body,
        string $reason,
    ): void {
        $server = $this->serve($name);
        $response = $server->client->request('/replay/page.php?topics=news&callback=value', $headers, 'POST', $body);

        self::assertSame(413, $response->status, $response->summary());
        $server->awaitLog('sse_stream returned false');
        self::assertSame([], $this->told($server));
        self::assertStringContainsString('sse: a stream was refused (413): its request can\'t be sent again', $server->phpLog());
        self::assertStringContainsString($reason, $server->phpLog());
        self::assertSame(0, $server->openStreams());
    }

    public function testAStreamWithoutCallbackIsHandedOverWhateverItsBody(): void
    {
        $server = $this->serve('nginx-fpm-unix');
        $body = str_repeat('b', 100_000);

        $stream = $server->client->open('/replay/page.php?topics=news&callback=none', [], 'POST', $body);
        $server->client->await($stream, static fn () => $stream->isOpen(), 10.0, 'the stream is open');

        $server->awaitLog('sse_stream returned true');
        self::assertStringNotContainsString('served in its worker', $server->phpLog());
    }

    /**
     * Without what differs each time by its nature, and without the token, which getenv() shows under FPM and
     * getallheaders() elsewhere: nothing can be taken out of these, and it is worth nothing once the replay is over.
     *
     * @param array<string, mixed> $dump
     * @return array<string, mixed>
     */
    private static function comparable(array $dump): array
    {
        unset($dump['render'], $dump['headers']['last-event-id'], $dump['headers']['sse-render-token']);
        unset($dump['getenv']['SSE_RENDER_TOKEN']);
        ksort($dump['headers']);
        foreach (['SERVER', 'ENV', 'getenv'] as $place) {
            $dump[$place] = array_diff_key($dump[$place], array_flip(self::OF_THE_TIME));
            // The web server's order is not that of a replay.
            ksort($dump[$place]);
        }
        // FPM shortens what Apache sends ("proxy:fcgi://…"), and leaves the rest behind a NUL in this place.
        $script = $dump['getenv']['SCRIPT_FILENAME'] ?? '';
        $dump['getenv']['SCRIPT_FILENAME'] = explode("\0", $script)[0];

        return $dump;
    }

    /** The key of what a replay is trusted for is the hub's and the worker's business. */
    private static function assertShowsNoToken(array $dump): void
    {
        $places = array_diff_key($dump, ['headers' => 1, 'getenv' => 1]);
        self::assertDoesNotMatchRegularExpression('/render.token/i', json_encode($places, JSON_THROW_ON_ERROR));
        foreach ([$dump['headers']['sse-render-token'] ?? '', $dump['getenv']['SSE_RENDER_TOKEN'] ?? ''] as $token) {
            $found = $token !== '' && str_contains(json_encode($places, JSON_THROW_ON_ERROR), $token);
            self::assertFalse($found, json_encode($places, JSON_THROW_ON_ERROR));
        }
    }
}
