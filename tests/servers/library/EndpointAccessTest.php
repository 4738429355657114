<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Server\Catalogue;
use Sse\Grant;

/** Whose pages may use stream.php and publish.php with cookies, and what a grant opens. */
final class EndpointAccessTest extends EndpointTestCase
{
    private const ALICE = ['X-User' => 'alice'];

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each(self::SERVERS);
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

    public function testOwnPagesAreTakenWherePhpGetsTheHostWithoutItsPort(): void
    {
        $server = $this->serveSite('nginx-fpm-unix', [], ['host' => 'debian']);
        $own = "http://127.0.0.1:$server->port";
        $message = ['topic' => 'guestbook', 'data' => ['text' => 'x']];
        $cookie = ['Cookie' => 'PHPSESSID=abc'];
        $other = 'http://127.0.0.1:' . ($server->port + 1);

        foreach ([[$own, 200], [$other, 403], ["$own.evil.example", 403], ['http://evil.example', 403]] as [$origin, $status]) {
            $answer = self::send($server, $message, ['Origin' => $origin] + $cookie);
            self::assertSame($status, $answer->status, $origin . $answer->summary());
        }
        $server->client->openOne('/sse/stream.php?topics=news', ['Origin' => $own] + $cookie);
        $refused = $server->client->request('/sse/stream.php?topics=news', ['Origin' => $other] + $cookie);
        self::assertSame(403, $refused->status, $refused->summary());
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
}
