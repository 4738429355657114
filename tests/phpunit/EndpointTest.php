<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\Server;
use Sse\Grant;

/** stream.php and publish.php, as a site has mounted them. */
final class EndpointTest extends EndpointTestCase
{
    private const ALICE = ['X-User' => 'alice'];

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each(self::SERVERS);
    }

    /** @dataProvider servers */
    public function testAMessageGoesFromPublishToStreamWithWhatTheSiteAddsToIt(string $name): void
    {
        $server = $this->serveSite($name);
        $stream = $server->client->openOne('/sse/stream.php?topics=chat.general,news', self::ALICE);

        $answer = self::send($server, ['topic' => 'chat.general', 'data' => ['text' => 'hi', 'from' => 'root']], self::ALICE);
        $form = $server->client->request(
            '/sse/publish.php',
            self::ALICE,
            'POST',
            http_build_query(['topic' => 'chat.general', 'data' => ['text' => 'by a form'], 'event' => 'said']),
        );

        self::assertSame([200, 200], [$answer->status, $form->status], $form->summary());
        $server->client->awaitEvents($stream, 2);
        self::assertSame(
            ['{"from":"alice","text":"hi"}', '{"from":"alice","text":"by a form"}'],
            $stream->data(),
        );
        self::assertSame('said', $stream->parser->events[1]->name);
        self::assertSame(json_decode($answer->body, true)['id'], $stream->parser->events[0]->id);
    }

    public function testAClientThatAsksForItIsToldTheTopicsAndAnythingElseIsNoMatter(): void
    {
        $server = $this->serveSite();
        $told = $server->client->openOne('/sse/stream.php?topics=chat.*,news&topicsAs=envelope', self::ALICE);
        $plain = $server->client->openOne('/sse/stream.php?topics=chat.*,news&topicsAs=nonsense', self::ALICE);

        self::send($server, ['topic' => 'chat.general', 'data' => ['text' => 'hi']], self::ALICE);
        $server->client->awaitEvents($plain, 1);
        $server->client->awaitEvents($told, 3);

        [$cursor, $reached, $event] = array_map(static fn (string $data) => json_decode($data, true), $told->data());
        self::assertSame(['cursor'], array_keys($cursor));
        self::assertSame(['reached' => $cursor['cursor']], $reached);
        self::assertSame(['chat.general'], $event['topics']);
        self::assertSame($event['data'], $plain->data()[0]);
    }

    public function testWhatThePolicyDoesNotNameIsRefused(): void
    {
        $server = $this->serveSite();
        $asks = [
            ['news', [], 200], ['chat.general', [], 403], ['**', [], 403], ['*', [], 403], ['news,secret', [], 403],
            ['chat.general', self::ALICE, 200], ['chat.*', self::ALICE, 200], ['chat.**', self::ALICE, 403],
            ['chat.a.b', self::ALICE, 403], ['*.general', self::ALICE, 403], ['users.alice.**', self::ALICE, 200],
            ['users.alice.mail', self::ALICE, 200], ['users.bob.mail', self::ALICE, 403], ['users.*.mail', self::ALICE, 403],
            ['users.**', self::ALICE, 403], ['users.alice', self::ALICE, 403], ['**', ['X-User' => 'root'], 200],
            // A user who is called like a pattern.
            ['users.bob.mail', ['X-User' => '*'], 403], ['users.*.mail', ['X-User' => '*'], 403],
            ['users.%252A.mail', ['X-User' => '*'], 200], ['users.a.b.mail', ['X-User' => 'a.b'], 403],
            ['', [], 400], ['a..b', [], 400], ['a%20b', [], 400], ['news%0A', [], 400], ['%FF', [], 400], ['n*', [], 400],
            [str_repeat('a.', 16) . '*', [], 400],
        ];

        foreach ($asks as [$topics, $headers, $status]) {
            $stream = $server->client->open("/sse/stream.php?topics=$topics", $headers);
            $server->client->await(
                $stream,
                static fn (Stream $stream): bool => $stream->isOpen() || $stream->ended,
                10.0,
                "$topics is answered",
            );
            self::assertSame($status, $stream->response->status, "$topics: {$stream->summary()}");
            $stream->close();
        }
        self::assertSame(400, $server->client->request('/sse/stream.php')->status);
        self::assertSame(200, $server->client->openOne('/sse/stream.php?topics[]=news')->response->status);
        self::assertSame(405, $server->client->request('/sse/stream.php?topics=news', [], 'DELETE')->status);
        $many = implode(',', array_map(static fn (int $i): string => "chat.$i", range(1, 101)));
        self::assertSame(400, $server->client->request("/sse/stream.php?topics=$many", self::ALICE)->status);
    }

    public function testAStreamEndsWhenItsClientMayNotHaveItAnyMore(): void
    {
        $server = $this->serveSite();
        $stream = $server->client->openOne('/sse/stream.php?topics=news');

        $server->folder->file('banned', '');

        self::awaitEnd($server, $stream);
        self::assertSame(403, $server->client->request('/sse/stream.php?topics=news')->status);
    }

    public function testWhatIsNotForThisClientToPublishIsRefused(): void
    {
        $server = $this->serveSite();
        $stream = $server->client->openOne('/sse/stream.php?topics=**', ['X-User' => 'root']);
        $data = ['text' => 'x'];
        $asks = [
            [['topic' => 'chat.general', 'data' => $data], [], 403],
            [['topic' => 'news', 'data' => $data], self::ALICE, 403],
            [['topic' => 'chat.*', 'data' => $data], self::ALICE, 403],
            [['topic' => 'chat.a b', 'data' => $data], self::ALICE, 403],
            [['topic' => ['chat.a'], 'data' => $data], self::ALICE, 400],
            [['topic' => 'chat.a'], self::ALICE, 400],
            [[], self::ALICE, 400],
            [['topic' => 'chat.a', 'data' => ['no text']], self::ALICE, 422],
            [['topic' => 'chat.a', 'data' => $data, 'event' => "a\nb"], self::ALICE, 422],
            [['topic' => 'chat.a', 'data' => $data, 'event' => "a\n"], self::ALICE, 422],
            [['topic' => 'chat.a', 'data' => $data, 'event' => 'gap'], self::ALICE, 422],
            [['topic' => 'chat.a', 'data' => ['text' => str_repeat('x', 1_100_000)]], self::ALICE, 422],
            [['topic' => 'guestbook', 'data' => $data], [], 200],
        ];

        foreach ($asks as [$message, $headers, $status]) {
            $answer = self::send($server, $message, $headers);
            self::assertSame($status, $answer->status, substr(json_encode($message), 0, 100) . $answer->summary());
        }
        self::assertSame(405, $server->client->request('/sse/publish.php')->status);
        $broken = $server->client->request('/sse/publish.php', ['Content-Type' => 'application/json'], 'POST', '{"topic');
        self::assertSame(400, $broken->status);
        $server->client->awaitEvents($stream, 1);
        self::assertSame(['{"from":"guest","text":"x"}'], $stream->data());
    }

    public function testAnotherSitesPageCannotPostNorHoldAStream(): void
    {
        $server = $this->serveSite();
        $own = 'http://127.0.0.1:' . $server->port;
        $message = ['topic' => 'guestbook', 'data' => ['text' => 'x']];
        $cookie = ['Cookie' => 'PHPSESSID=abc'];
        $asks = [
            [['Origin' => $own] + $cookie, 200],
            [['Origin' => $own, 'Sec-Fetch-Site' => 'same-origin'] + $cookie, 200],
            [['Origin' => 'https://app.example', 'Sec-Fetch-Site' => 'cross-site'] + $cookie, 200],
            [['Origin' => 'https://evil.example'] + $cookie, 403],
            [['Origin' => 'https://evil.example', 'Sec-Fetch-Site' => 'cross-site'] + $cookie, 403],
            [['Origin' => 'https://evil.example'], 403],
            [['Origin' => 'null'] + $cookie, 403],
            [['Origin' => 'http://127.0.0.1'] + $cookie, 403],
            [['Origin' => "$own.evil.example"] + $cookie, 403],
            [['Origin' => 'https://app.example.evil.example'] + $cookie, 403],
            [['Origin' => 'http://app.example'] + $cookie, 403],
            [['Sec-Fetch-Site' => 'same-site'] + $cookie, 403],
            [['Sec-Fetch-Site' => 'cross-site'] + $cookie, 403],
            [['Origin' => $own, 'Sec-Fetch-Site' => 'same-site'] + $cookie, 403],
            [$cookie, 403],
            [['Authorization' => 'Basic YTpi'], 403],
            [[], 200],
        ];

        foreach ($asks as [$headers, $status]) {
            $answer = self::send($server, $message, $headers);
            self::assertSame($status, $answer->status, json_encode($headers) . $answer->summary());
            $allowed = ($headers['Origin'] ?? '') === 'https://app.example' ? 'https://app.example' : null;
            self::assertSame($allowed, $answer->headers['access-control-allow-origin'] ?? null);
        }
        // An image or a script of another site's page, whose visitor is logged in here.
        foreach (['cross-site', 'same-site'] as $site) {
            $held = $server->client->request('/sse/stream.php?topics=news', ['Sec-Fetch-Site' => $site] + $cookie);
            self::assertSame(403, $held->status);
        }
        self::assertSame(0, $server->openStreams());
    }

    public function testAPageOfANamedOriginMayWatchWithCookies(): void
    {
        $server = $this->serveSite();
        $origin = ['Origin' => 'https://app.example', 'Sec-Fetch-Site' => 'cross-site'];

        $stream = $server->client->openOne('/sse/stream.php?topics=news', $origin);
        $preflight = $server->client->request('/sse/publish.php', $origin, 'OPTIONS');
        $evil = $server->client->request('/sse/publish.php', ['Origin' => 'https://evil.example'], 'OPTIONS');

        self::assertSame('https://app.example', $stream->response->headers['access-control-allow-origin']);
        self::assertSame('true', $stream->response->headers['access-control-allow-credentials']);
        self::assertSame('Origin', $stream->response->headers['vary']);
        self::assertSame([204, 'POST'], [$preflight->status, $preflight->headers['access-control-allow-methods']]);
        self::assertSame(403, $evil->status);
        self::assertArrayNotHasKey('access-control-allow-origin', $evil->headers);
    }

    /** @dataProvider servers */
    public function testAGrantOpensItsTopicsAndNoOthersAndNotForLonger(string $name): void
    {
        $server = $this->serveSite($name);
        $grant = Grant::sign(['orders.42.**'], 2, self::KEY);
        $bearer = ['Authorization' => "Bearer $grant"];

        $stream = $server->client->openOne('/sse/stream.php?topics=orders.42.**,news', $bearer);
        foreach (['orders.43', 'orders.**', '**', 'orders.42.**,orders.43'] as $topics) {
            self::assertSame(403, $server->client->request("/sse/stream.php?topics=$topics", $bearer)->status, $topics);
        }
        $query = "topics=orders.42.paid&grant=$grant";
        self::assertSame(403, $server->client->request("/sse/stream.php?$query")->status, 'not from the URL');
        $server->publish('orders.42.paid', 'yes');
        $server->client->awaitEvents($stream, 1);

        self::awaitEnd($server, $stream);
        self::assertSame(['yes'], $stream->data());
        self::assertSame(403, $server->client->request('/sse/stream.php?topics=orders.42.**', $bearer)->status);
    }

    public function testAGrantBecomesACookieForAnEventSource(): void
    {
        $server = $this->serveSite();
        $grant = Grant::sign(['orders.42.*'], 60, self::KEY);

        $set = $server->client->request('/sse/stream.php', ['Authorization' => "Bearer $grant"], 'POST');
        $bad = $server->client->request('/sse/stream.php', ['Authorization' => 'Bearer x.y'], 'POST');

        self::assertSame([204, 403], [$set->status, $bad->status]);
        self::assertStringContainsString('HttpOnly', $set->headers['set-cookie']);
        self::assertArrayNotHasKey('set-cookie', $bad->headers);
        $cookie = ['Cookie' => explode(';', $set->headers['set-cookie'])[0]];
        $stream = $server->client->openOne('/sse/stream.php?topics=orders.42.paid', $cookie);
        self::assertSame(200, $stream->response->status);
    }

    public function testAGrantOfOneUserIsForNobodyElse(): void
    {
        $server = $this->serveSite();
        $bearer = ['Authorization' => 'Bearer ' . Grant::sign(['orders.42'], 60, self::KEY, 'alice')];

        $path = '/sse/stream.php?topics=orders.42';
        self::assertSame(403, $server->client->request($path, $bearer)->status);
        self::assertSame(403, $server->client->request($path, $bearer + ['X-User' => 'bob'])->status);
        self::assertSame(200, $server->client->openOne($path, $bearer + self::ALICE)->response->status);
    }

    /** Attack: the request of a stream is kept, so that one that can't be would stay in its worker. */
    public function testARequestThatIsTooLargeToBeKeptIsRefused(): void
    {
        $server = $this->serveSite('php-s');

        $answer = $server->client->request('/sse/stream.php?topics=news', [], 'GET', str_repeat('b', 65_537));

        self::assertSame(413, $answer->status, $answer->summary());
        self::assertSame(200, $server->client->openOne('/sse/stream.php?topics=news')->response->status);
    }

    public function testWithoutAHubBothAreUnavailableAndTellNothing(): void
    {
        $server = $this->serveSite('php-s', ['sse.spawn' => 'off', 'sse.timeout' => 200, 'display_errors' => 1]);

        $answers = [
            $server->client->request('/sse/stream.php?topics=news'),
            self::send($server, ['topic' => 'guestbook', 'data' => ['text' => 'x']]),
        ];

        foreach ($answers as $answer) {
            self::assertSame([503, '2'], [$answer->status, $answer->headers['retry-after']], $answer->summary());
            self::assertStringNotContainsString($server->hubFolder, $answer->body);
        }
    }

    public function testWithoutASiteNothingIsOpenAndNothingIsTold(): void
    {
        $server = $this->serveSite('php-s', ['display_errors' => 1]);
        unlink("{$server->folder->path}/sse-site.php");

        foreach (['/sse/stream.php?topics=news', '/sse/publish.php', '/sse/get_sse_config.php'] as $path) {
            $answer = $server->client->request($path);
            self::assertSame(500, $answer->status);
            self::assertSame('{"error":"Something is wrong on the server; its log says what"}', $answer->body);
        }
        $server->awaitLog('sse-site.php, which says who may watch and publish what');
    }

    private static function awaitEnd(Server $server, Stream $stream): void
    {
        $server->client->await($stream, static fn (Stream $stream): bool => $stream->ended, 15.0, 'the stream ends');
    }
}
