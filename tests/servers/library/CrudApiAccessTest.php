<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Server;

/** Who gets a stream beside a PHP-CRUD-API, and for how long: the clients that the API itself would answer. */
final class CrudApiAccessTest extends CrudApiTestCase
{
    public function testWhatTheApiRefusesIsRefusedWithItsOwnAnswer(): void
    {
        $server = $this->serveCrudApi();
        $asks = [
            ['keys', '/posts', [], 401],
            ['keys', '/posts', ['X-API-Key' => 'wrong'], 403],
            ['keys', '/audits', self::ONE, 404],
            ['keys', '/audits/1', self::ONE, 404],
            ['keys', '/nowhere', self::ONE, 404],
            ['keys', '/posts/2', self::ONE, 404],
            ['keys', '/articles/2', self::ONE, 404],
            ['keys', '/posts/99', self::OPERATOR, 404],
            ['keys', '/keyless', self::OPERATOR, 404],
            ['login', '/posts', [], 401],
            ['basic', '/posts', [], 401],
            ['basic', '/posts', self::basic('one', 'wrong'), 403],
            ['jwt', '/posts', [], 401],
            ['jwt', '/posts', ['X-Authorization' => 'Bearer a.b.c'], 403],
            ['user-keys', '/posts', ['X-API-Key' => 'nobody'], 403],
        ];

        foreach ($asks as [$api, $path, $headers, $status]) {
            $live = $server->client->request("/crud/$api.php/sse/records$path", $headers);
            $plain = self::call($server, $api, 'GET', "/records$path", null, $headers);

            self::assertSame($status, $live->status, "$api $path: {$live->summary()}");
            if ($path !== '/keyless') {
                self::assertSame([$plain->status, $plain->body], [$live->status, $live->body], "$api $path");
                self::assertSame($plain->headers['www-authenticate'] ?? '', $live->headers['www-authenticate'] ?? '');
            }
        }
        self::assertSame(0, $server->openStreams());
    }

    public function testHeadAnswersAsTheStreamWouldWithoutOpeningOne(): void
    {
        $server = $this->serveCrudApi();

        $answer = self::call($server, 'keys', 'HEAD', '/sse/records/posts', null, self::ONE);
        $refused = self::call($server, 'keys', 'HEAD', '/sse/records/audits', null, self::ONE);

        self::assertSame([200, ''], [$answer->status, $answer->body], $answer->summary());
        self::assertStringStartsWith('text/event-stream', $answer->headers['content-type']);
        self::assertSame(404, $refused->status, $refused->summary());
        self::assertSame(0, $server->openStreams());
    }

    public function testARedirectLeadsToTheStreamThere(): void
    {
        $server = $this->serveCrudApi();

        $plain = self::call($server, 'https', 'GET', '/records/posts?include=id');
        $answer = $server->client->request('/crud/https.php/sse/records/posts?include=id');

        self::assertSame(301, $answer->status);
        // Where that is, is the API's to say.
        self::assertStringEndsWith('/records/posts?include=id', $plain->headers['location']);
        self::assertSame(
            str_replace('/records/', '/sse/records/', $plain->headers['location']),
            $answer->headers['location'],
        );
    }

    public function testNoOtherPathOfTheApiIsOpenedByAskingForAStream(): void
    {
        $server = $this->serveCrudApi();

        // The API that answers such a request has no middlewares.
        $paths = ['/records/posts/sse/records/posts', '/columns/sse/records/posts', '/records/sse/records/posts/1',
            '/status/ping/sse/records/posts', '/openapi/sse/records/posts', '/sse/records/posts/../../../records/posts',
            '/records/posts?/sse/records/posts', '/%73se/records/posts', '//sse/records/posts', '/sse/records//posts',
            '/sse/records/posts/1/2', '/records/posts/1?x=/sse/records/posts'];
        foreach ($paths as $path) {
            $response = $server->client->request("/crud/keys.php$path");
            self::assertContains($response->status, [401, 404], "$path: {$response->summary()}");
            self::assertStringNotContainsString('first', $response->body);
        }
        foreach (['POST', 'PUT', 'DELETE', 'PATCH'] as $method) {
            $response = self::call($server, 'keys', $method, '/sse/records/posts', ['title' => 'x']);
            self::assertContains($response->status, [401, 404], "$method: {$response->summary()}");
        }
        self::assertSame(0, $server->openStreams());
        self::assertSame(3, (int) self::database($server)->query('SELECT COUNT(*) FROM posts')->fetchColumn());
    }

    public function testAPageOfAnotherOriginMayReadTheStreamIfItMayReadTheApi(): void
    {
        $server = $this->serveCrudApi();
        $allowed = self::ONE + ['Origin' => 'https://app.example'];

        $stream = self::live($server, 'keys', '/posts', $allowed);

        $headers = $stream->response->headers;
        self::assertSame('https://app.example', $headers['access-control-allow-origin']);
        self::assertSame('true', $headers['access-control-allow-credentials']);
        self::assertSame('text/event-stream', explode(';', $headers['content-type'])[0]);
        $denied = $server->client->request('/crud/keys.php/sse/records/posts', self::ONE + ['Origin' => 'https://evil.example']);
        self::assertSame(403, $denied->status);
        $preflight = $server->client->request('/crud/keys.php/sse/records/posts', [
            'Origin' => 'https://app.example',
            'Access-Control-Request-Method' => 'GET',
            'Access-Control-Request-Headers' => 'x-api-key',
        ], 'OPTIONS');
        self::assertSame(200, $preflight->status);
        self::assertStringContainsString('X-API-Key', $preflight->headers['access-control-allow-headers']);
        self::assertNoComplaint($server);
    }

    public function testWithoutAHubTheStreamIsNotAvailable(): void
    {
        $server = $this->serveCrudApi('php-s', ['sse.spawn' => 'off', 'sse.timeout' => 200]);

        $response = $server->client->request('/crud/open.php/sse/records/posts');

        self::assertSame(503, $response->status);
        self::assertSame('2', $response->headers['retry-after']);
        self::assertStringNotContainsString('/', $response->body);
    }

    /** Attack: the request of a stream is kept, so that one that can't be would stay in its worker. */
    public function testARequestThatIsTooLargeToBeKeptIsRefused(): void
    {
        $server = $this->serveCrudApi('php-s');

        $body = str_pad('{}', 65_537);
        $response = $server->client->request('/crud/open.php/sse/records/posts', [], 'GET', $body);

        self::assertSame(413, $response->status, $response->summary());
        self::live($server, 'open', '/posts');
    }

    /** @return iterable<string, array{string, string}> */
    public static function logins(): iterable
    {
        foreach (self::SERVERS as $server) {
            foreach (['login', 'basic', 'jwt'] as $api) {
                yield "$api on $server" => [$server, $api];
            }
        }
    }

    /** @dataProvider logins */
    public function testEachLoginOfTheApiIsTheStreamsToo(string $name, string $api): void
    {
        $server = $this->serveCrudApi($name);
        $one = self::user($server, $api, 'one');
        $two = self::user($server, $api, 'two');
        $streams = [self::live($server, $api, '/posts', $one), self::live($server, $api, '/posts', $two)];

        self::done($server, 'open', 'POST', '/records/posts', [
            ['tenant' => 'two', 'title' => 'a'],
            ['tenant' => 'one', 'title' => 'b'],
            ['tenant' => 'two', 'title' => 'c'],
        ]);
        self::done($server, $api, 'PUT', '/records/posts/2', ['title' => 'd'], $two);
        self::done($server, $api, 'PUT', '/records/posts/1', ['title' => 'e'], $one);

        self::assertSame(['create 5', 'update 1'], self::awaitChanges($server, $streams[0], 2));
        self::assertSame(['create 4', 'create 6', 'update 2'], self::awaitChanges($server, $streams[1], 3));
        // The session is free while the stream is open.
        self::assertCount(3, self::done($server, $api, 'GET', '/records/posts', null, $one)['records']);
        self::assertNoComplaint($server);
    }

    /** @dataProvider servers */
    public function testAStreamEndsAtTheNextEventWhenItsClientHasLoggedOut(string $name): void
    {
        $server = $this->serveCrudApi($name);
        $one = self::user($server, 'login', 'one');
        $stream = self::live($server, 'login', '/posts', $one);

        self::done($server, 'login', 'POST', '/logout', (object) [], $one);
        self::done($server, 'open', 'PUT', '/records/posts/1', ['title' => 'for others']);

        self::awaitEnd($server, $stream);
        self::assertSame([], self::told($stream));
        self::assertSame(401, $server->client->request('/crud/login.php/sse/records/posts', $one)->status);
    }

    public function testAStreamEndsWhenItsKeyIsTakenAway(): void
    {
        $server = $this->serveCrudApi();
        $stream = self::live($server, 'user-keys', '/posts', ['X-API-Key' => 'key-one']);
        $other = self::live($server, 'user-keys', '/posts', ['X-API-Key' => 'key-two']);

        self::database($server)->exec("UPDATE users SET api_key = NULL WHERE username = 'one'");
        self::done($server, 'open', 'PUT', '/records/posts/1', ['title' => 'for others']);

        self::awaitEnd($server, $stream);
        self::assertSame([], self::told($stream));
        self::assertSame(['update 1'], self::awaitChanges($server, $other, 1));
    }

    public function testAStreamThatNothingHappensOnAsksAgainAfterAWhile(): void
    {
        $server = $this->serveCrudApi();
        $stream = self::live($server, 'keys', '/posts/1', self::ONE);

        // Another tenant's from now on, and nobody says so.
        self::database($server)->exec("UPDATE posts SET tenant = 'two' WHERE id = 1");

        self::awaitEnd($server, $stream);
        self::assertSame([], self::told($stream));
    }

    private static function awaitEnd(Server $server, Stream $stream): void
    {
        $server->client->await($stream, static fn (Stream $stream): bool => $stream->ended, 15.0, 'the stream ends');
    }

    /** @return array<string, string> the headers of a user who is logged in */
    private static function user(Server $server, string $api, string $name): array
    {
        if ($api === 'basic') {
            return self::basic($name, "pass-$name");
        }
        if ($api === 'jwt') {
            return ['X-Authorization' => 'Bearer ' . self::token($name)];
        }
        $response = self::call($server, $api, 'POST', '/login', ['username' => $name, 'password' => "pass-$name"]);
        self::assertSame(200, $response->status, $response->summary());
        // The last one counts: it is regenerated at the login.
        self::assertGreaterThan(0, preg_match_all('/SITE=[^;,]+/', $response->headers['set-cookie'], $cookies));

        return ['Cookie' => end($cookies[0])];
    }

    /** @return array<string, string> */
    private static function basic(string $name, string $password): array
    {
        return ['Authorization' => 'Basic ' . base64_encode("$name:$password")];
    }

    private static function token(string $name): string
    {
        $claims = ['sub' => $name, 'iat' => time(), 'exp' => time() + 600];

        return Signer::ofSecret('the-secret-of-the-tokens-of-this-test')->token($claims, ['typ' => 'JWT']);
    }
}
