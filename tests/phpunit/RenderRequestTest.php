<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\Server;

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
            self::assertEquals(self::comparable($original), self::comparable($replay));
        }
    }

    /**
     * @param array<string, mixed> $dump
     * @return array<string, mixed>
     */
    private static function comparable(array $dump): array
    {
        unset($dump['render']);
        foreach (['SERVER', 'ENV', 'getenv'] as $place) {
            $dump[$place] = array_diff_key($dump[$place], array_flip(self::OF_THE_TIME));
            // Apache keeps what it sets for itself in an order of its own.
            ksort($dump[$place]);
        }
        ksort($dump['headers']);
        unset($dump['headers']['last-event-id']);

        return $dump;
    }
}
