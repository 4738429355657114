<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Event;
use PhpSse\Tests\Client\Response;
use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Server;

/** dashboard.php: who gets it, what it answers, and what it refuses. The page itself: tests/browser/dashboard.test.mjs. */
final class EndpointDashboardTest extends EndpointTestCase
{
    private const PATH = '/sse/dashboard.php';
    private const VIEWER = ['X-Rights' => 'view'];
    private const OPERATOR = ['X-Rights' => 'view disconnect events'];
    private const PARTS = ['?data=figures', '?data=streams', '?data=topic&topic=news', '?data=follow&stream=x', '?data=events&stream=x'];

    public function testItIsForNobodyUnlessTheSiteAllowsIt(): void
    {
        $server = $this->serveSite();

        // Who may watch all topics may not see this for that.
        foreach ([[], ['X-User' => 'root'], ['X-Everything' => 'deep'], ['X-Rights' => 'disconnect events']] as $headers) {
            foreach (['', ...self::PARTS] as $part) {
                $answer = $server->client->request(self::PATH . $part, $headers);
                self::assertSame(403, $answer->status, $part . $answer->summary());
                self::assertStringContainsString("dashboard: Policy::patterns('view', 'disconnect')", $answer->body);
            }
            self::assertSame(403, self::disconnect($server, 'x', $headers)->status);
        }

        $page = $server->client->request(self::PATH, self::VIEWER);
        self::assertSame(200, $page->status, $page->summary());
        self::assertSame('no-store', $page->headers['cache-control']);
        $policy = $page->headers['content-security-policy'];
        self::assertStringStartsWith("default-src 'none'; script-src 'nonce-", $policy);
        self::assertStringContainsString("frame-ancestors 'none'", $policy);
        // The only scripts and styles are those of the page, and none is fetched.
        preg_match("/'nonce-(.+?)'/", $policy, $nonce);
        self::assertSame(3, substr_count($page->body, "nonce=\"$nonce[1]\""));
        self::assertSame(0, preg_match('/<(?:script|link|img)[^>]+(?:src|href)="(?!data:)/', $page->body));
        self::assertStringContainsString('data-rights=""', $page->body);
        self::assertSame(403, self::disconnect($server, 'x', self::VIEWER)->status);
        self::assertSame(403, $server->client->request(self::PATH . '?data=events&stream=x', self::VIEWER)->status);
        self::assertSame(404, $server->client->request(self::PATH . '?data=other', self::VIEWER)->status);
        self::assertSame(405, $server->client->request(self::PATH, self::VIEWER, 'DELETE')->status);
    }

    public function testAnotherSitesPageCanOnlyLinkToIt(): void
    {
        $server = $this->serveSite();
        $stream = $server->client->openOne('/sse/stream.php?topics=news&topicsAs=field');
        $id = self::idOf($server, $stream);
        $cookie = ['Cookie' => 'PHPSESSID=abc'] + self::OPERATOR;
        // Site::$origins names the first one: its pages may use the other endpoints.
        $others = [
            ['Origin' => 'https://app.example', 'Sec-Fetch-Site' => 'cross-site'],
            ['Origin' => 'https://evil.example'],
            ['Origin' => 'null'],
            ['Sec-Fetch-Site' => 'same-site'],
        ];

        foreach ($others as $headers) {
            foreach (self::PARTS as $part) {
                self::assertSame(403, $server->client->request(self::PATH . $part, $headers + $cookie)->status);
            }
            self::assertSame(403, self::disconnect($server, $id, $headers + $cookie)->status);
        }
        // A form's post of an old browser says nothing of where it comes from, but has cookies.
        self::assertSame(403, self::disconnect($server, $id, $cookie)->status);
        self::assertSame(200, $server->client->request(self::PATH, ['Sec-Fetch-Site' => 'cross-site'] + $cookie)->status);
        self::assertSame(1, $server->openStreams());
        $own = ['Sec-Fetch-Site' => 'same-origin', 'Origin' => $server->url()];
        self::assertSame('{"ended":1}', self::disconnect($server, $id, $own + $cookie)->body);
        self::awaitEnd($server, $stream);
        self::assertStringContainsString("the stream that they disconnect]: [\"127.0.0.1\",\"$id\"]; ended: 1", $server->phpLog());
    }

    public function testTheFiguresComeByAStreamThatHoldsNoWorker(): void
    {
        $server = $this->serveSite('nginx-fpm-unix', ['sse.log_level' => 'info']);
        $reader = $server->client->openOne('/sse/stream.php?topics=news');
        $stream = $server->client->openOne(self::PATH . '?data=figures', self::VIEWER);
        $server->publish('news', 'x');

        $script = "{$server->folder->path}/app" . self::PATH;
        $event = self::awaitEvent($server, $stream, static function (Event $event) use ($script): bool {
            $figures = json_decode($event->data, true);

            // It counts its own replays.
            return $figures['watchers'] === ['news' => 1]
                && in_array($script, array_column($figures['stats']['renders']['slowest']['scripts'], 'script'), true);
        });

        $figures = json_decode($event->data, true);
        self::assertSame('data', $event->name);
        self::assertSame(2, $figures['stats']['streams']['open']);
        self::assertSame('news', $figures['stats']['busiest']['topics'][0]['topic']);
        self::assertNull($figures['log']['problem']);
        self::assertStringContainsString('stream=', implode("\n", $figures['log']['lines']));
        self::assertFalse($reader->ended);
    }

    public function testStreamsAreFoundAPageAtATime(): void
    {
        $server = $this->serveSite('nginx-fpm-unix');
        $alice = $server->client->openOne('/sse/stream.php?topics=chat.a,chat.b', ['X-User' => 'alice']);
        $server->client->openMany(54, '/sse/stream.php?topics=news');

        $id = self::find($server, 'by=user&what=alice')['streams'][0]['id'];
        foreach (['by=user&what=alice', 'by=topic&what=chat.a', "by=stream&what=$id"] as $query) {
            ['streams' => [$row], 'after' => $after] = self::find($server, $query);
            $told = [$row['user'], $row['address'], $row['topics'], $row['framing']];
            self::assertSame(['alice', '127.0.0.1', ['chat.a', 'chat.b'], 'fastcgi'], $told);
            self::assertNull($after);
        }
        self::assertSame([], self::find($server, 'by=user&what=bob')['streams']);
        self::assertSame([], self::find($server, 'by=address&what=192.0.2.1')['streams']);
        self::assertSame([], self::find($server, 'by=slow')['streams']);
        $counts = ['by=topic&what=news' => 54, 'by=' => 55, 'by=address&what=127.0.0.1' => 55, 'by=address&what=::ffff:127.0.0.1' => 55];
        foreach ($counts as $query => $all) {
            $first = self::find($server, $query);
            $rest = self::find($server, "$query&after={$first['after']}");
            self::assertSame([50, $all - 50], [count($first['streams']), count($rest['streams'])], $query);
            self::assertNull($rest['after']);
            self::assertCount($all, array_unique(array_column([...$first['streams'], ...$rest['streams']], 'id')));
        }
        foreach (['by=colour&what=red', 'by=address&what=localhost', 'by=topic&what=a..b', 'by=&after=forged'] as $query) {
            $answer = $server->client->request(self::PATH . "?data=streams&$query", self::VIEWER);
            self::assertSame(400, $answer->status, $query . $answer->summary());
        }
        self::assertFalse($alice->ended);
    }

    public function testAStreamIsFollowedUntilItEnds(): void
    {
        $server = $this->serveSite('nginx-fpm-unix');
        $path = '/sse/stream.php?topics=chat.a,%24presence.room&topicsAs=field';
        $followed = $server->client->openOne($path, ['X-User' => 'alice', 'X-Everything' => 'named']);
        $id = self::idOf($server, $followed);
        $stream = $server->client->openOne(self::PATH . "?data=follow&stream=$id", self::OPERATOR);
        $events = $server->client->openOne(self::PATH . "?data=events&stream=$id", self::OPERATOR);
        self::assertSame($id, json_decode($server->client->awaitEvents($stream, 1)[0], true)['id']);
        $before = json_decode($stream->data()[0], true)['bytes'];

        $server->publish('chat.a', 'hello');

        $envelope = self::awaitEvent($server, $events, static fn (Event $event): bool => str_contains($event->data, 'hello'));
        self::assertSame(['chat.a'], json_decode($envelope->data, true)['topics']);
        $isMore = static fn (Event $event): bool => (json_decode($event->data, true)['bytes'] ?? 0) > $before;
        self::awaitEvent($server, $stream, $isMore);
        self::assertSame('{"ended":1}', self::disconnect($server, $id, self::OPERATOR)->body);
        self::awaitEvent($server, $stream, static fn (Event $event): bool => $event->name === 'gone');
        self::awaitEnd($server, $stream);
        // Its topics are nobody's any more.
        self::awaitEnd($server, $events);
        self::assertSame('{"ended":0}', self::disconnect($server, $id, self::OPERATOR)->body);
        self::assertSame(404, $server->client->request(self::PATH . "?data=events&stream=$id", self::OPERATOR)->status);
    }

    public function testATopicsMembersAreToldWithWhatTheyTellOfThemselvesCut(): void
    {
        $server = $this->serveSite('nginx-fpm-unix');
        $server->client->openOne('/sse/stream.php?topics=chat.a', ['X-User' => 'alice', 'X-Present' => '1']);
        // Cut in the middle of a character.
        $long = str_repeat('ä', 120);
        $server->client->openOne('/presence.php?topics=chat.a&id=' . rawurlencode($long));

        $answer = $server->client->request(self::PATH . '?data=topic&topic=chat.a', self::VIEWER);

        $topic = json_decode($answer->body, true);
        self::assertSame([2, 2, 2, null], [$topic['watchers'], $topic['all'], $topic['count'], $topic['after']], $answer->summary());
        self::assertSame(['alice', $long], array_column($topic['members'], 'id'));
        self::assertSame('null', $topic['members'][0]['info']);
        self::assertLessThanOrEqual(202, strlen($topic['members'][1]['info']));
        self::assertSame(400, $server->client->request(self::PATH . '?data=topic&topic=a..b', self::VIEWER)->status);
    }

    /** @param array<string, string> $headers */
    private static function disconnect(Server $server, string $stream, array $headers): Response
    {
        return $server->client->request(self::PATH, $headers, 'POST', http_build_query(['stream' => $stream]));
    }

    /** @return array{streams: list<array<string, mixed>>, seen: int, after: string|null} */
    private static function find(Server $server, string $query): array
    {
        $answer = $server->client->request(self::PATH . "?data=streams&$query", self::VIEWER);
        self::assertSame(200, $answer->status, $query . $answer->summary());

        return json_decode($answer->body, true);
    }

    /** @param callable(Event): bool $condition */
    private static function awaitEvent(Server $server, Stream $stream, callable $condition): Event
    {
        $find = static fn (Stream $stream): array => array_values(array_filter($stream->parser->events, $condition));
        $server->client->await($stream, static fn (Stream $stream): bool => $find($stream) !== [], 20.0, 'the event arrives');

        return $find($stream)[0];
    }
}
