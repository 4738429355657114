<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\Server;

/** The streams beside a PHP-CRUD-API: each client is told what that API lets it read, and nothing else. */
final class CrudApiLiveTest extends CrudApiTestCase
{
    private const ONE = ['X-API-Key' => 'one'];
    private const TWO = ['X-API-Key' => 'two'];
    private const OPERATOR = ['X-API-Key' => 'operator'];

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each(self::SERVERS);
    }

    /** @dataProvider servers */
    public function testTwoTenantsAreToldOfTheirOwnRecordsOnly(string $name): void
    {
        $server = $this->serveCrudApi($name);
        $one = self::live($server, 'keys', '/posts', self::ONE);
        $two = self::live($server, 'keys', '/posts', self::TWO);

        self::done($server, 'keys', 'POST', '/records/posts', ['title' => 'of one'], self::ONE);
        self::done($server, 'keys', 'PUT', '/records/posts/2', ['title' => 'of two'], self::TWO);
        self::done($server, 'keys', 'PATCH', '/records/posts/1', ['clicks' => 5], self::ONE);
        self::done($server, 'keys', 'DELETE', '/records/posts/3', null, self::ONE);
        self::done($server, 'keys', 'DELETE', '/records/posts/2', null, self::TWO);

        self::assertSame(['create 4', 'increment 1', 'delete 3'], self::awaitChanges($server, $one, 3));
        self::assertSame(['update 2', 'delete 2'], self::awaitChanges($server, $two, 2));
        // Whatever is rendered later than this has nothing more to tell.
        self::done($server, 'keys', 'POST', '/records/posts', [['title' => 'last']], self::ONE);
        self::done($server, 'keys', 'POST', '/records/posts', [['title' => 'last']], self::TWO);
        self::assertSame(['create 4', 'increment 1', 'delete 3', 'create 5'], self::awaitChanges($server, $one, 4));
        self::assertSame(['update 2', 'delete 2', 'create 6'], self::awaitChanges($server, $two, 3));
        self::assertSame(
            ['id' => 4, 'tenant' => 'one', 'title' => 'of one', 'clicks' => 0],
            self::changes($one)[1]['record'],
        );
        self::assertSame(5, self::changes($one)[2]['record']['clicks']);
        self::assertNull(self::changes($one)[3]['record'] ?? null);
        self::assertNoComplaint($server);
    }

    /** @dataProvider servers */
    public function testAColumnThatIsHiddenIsInNoEvent(string $name): void
    {
        $server = $this->serveCrudApi($name);
        $table = self::live($server, 'keys', '/posts', self::OPERATOR);
        $record = self::live($server, 'keys', '/posts/1', self::OPERATOR);
        $unhidden = self::live($server, 'open', '/posts');

        self::done($server, 'open', 'PUT', '/records/posts/1', ['secret' => 'hidden-again']);

        foreach ([$table, $record, $unhidden] as $stream) {
            self::assertSame(['update 1'], self::awaitChanges($server, $stream, 1));
        }
        self::assertSame('hidden-again', self::changes($unhidden)[1]['record']['secret']);
        self::assertStringNotContainsString('hidden', $table->response->body . $record->response->body);
    }

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

    public function testARowThatIsHiddenIsToldGoneToThoseWhoCouldReadIt(): void
    {
        $server = $this->serveCrudApi();
        $reader = self::live($server, 'keys', '/articles', self::ONE);
        $operator = self::live($server, 'keys', '/articles', self::OPERATOR);

        // A reader takes it back, which a reader may do as long as it is out.
        self::done($server, 'keys', 'PUT', '/records/articles/1', ['published' => 0], self::ONE);
        self::done($server, 'keys', 'POST', '/records/articles', ['title' => 'b', 'published' => 0], self::ONE);
        self::done($server, 'keys', 'POST', '/records/articles', ['title' => 'c', 'published' => 1], self::ONE);

        self::assertSame(['delete 1', 'create 4'], self::awaitChanges($server, $reader, 2));
        self::assertSame(['update 1', 'create 3', 'create 4'], self::awaitChanges($server, $operator, 3));
    }

    public function testAWriterWhoIsKeptToFewerRowsTellsThoseWhoAreKeptToMore(): void
    {
        $server = $this->serveCrudApi();
        $junior = ['X-API-Key' => 'junior'];
        $one = self::live($server, 'keys', '/posts', self::ONE);
        $two = self::live($server, 'keys', '/posts', self::TWO);
        $itself = self::live($server, 'keys', '/posts', $junior);

        self::done($server, 'keys', 'DELETE', '/records/posts/1', null, $junior);
        self::done($server, 'keys', 'PATCH', '/records/posts/3', ['clicks' => 1], $junior);
        self::assertSame(0, self::done($server, 'keys', 'DELETE', '/records/posts/3', null, $junior));
        self::done($server, 'keys', 'PUT', '/records/posts/2', ['title' => 'of two'], self::TWO);

        self::assertSame(['delete 1', 'increment 3'], self::awaitChanges($server, $one, 2));
        // It has clicked it out of its own sight.
        self::assertSame(['delete 1', 'delete 3'], self::awaitChanges($server, $itself, 2));
        self::assertSame(['update 2'], self::awaitChanges($server, $two, 1));
    }

    public function testWhatAnOperatorDoesToHiddenRowsIsToldWithoutAKeyOrNotAtAll(): void
    {
        $server = $this->serveCrudApi();
        $reader = self::live($server, 'keys', '/articles', self::ONE);
        $tenant = self::live($server, 'keys', '/posts', self::ONE);

        // A change that can't have hidden or shown the row: nothing. The others may have: the reader loads anew.
        self::done($server, 'keys', 'PUT', '/records/articles/2', ['title' => 'still a draft'], self::OPERATOR);
        self::done($server, 'keys', 'PUT', '/records/articles/1', ['published' => 0], self::OPERATOR);
        self::assertSame(['reset'], self::awaitChanges($server, $reader, 1));
        self::done($server, 'keys', 'DELETE', '/records/articles/1', null, self::OPERATOR);
        self::assertSame(['reset', 'reset'], self::awaitChanges($server, $reader, 2));

        self::done($server, 'keys', 'PUT', '/records/posts/2', ['title' => 'x'], self::OPERATOR);
        self::done($server, 'keys', 'DELETE', '/records/posts/1', null, self::OPERATOR);
        self::assertSame(['reset'], self::awaitChanges($server, $tenant, 1));
        self::done($server, 'keys', 'PUT', '/records/posts/3', ['title' => 'mine'], self::OPERATOR);
        self::assertSame(['reset', 'update 3'], self::awaitChanges($server, $tenant, 2));
    }

    /** @return array<string, array{string}> */
    public static function handlers(): array
    {
        return ['a filter of beforeHandler' => ['before'], 'what afterHandler takes out' => ['after']];
    }

    /**
     * Such a rule is known to nobody but the handler: no key of a row that it may have hidden is told.
     *
     * @dataProvider handlers
     */
    public function testRowsThatASitesOwnHandlerHidesStayHidden(string $api): void
    {
        $server = $this->serveCrudApi();
        $stream = self::live($server, $api, '/posts');

        self::done($server, 'open', 'POST', '/records/posts', ['tenant' => 'two', 'title' => 'new']);
        self::done($server, 'open', 'PUT', '/records/posts/1', ['title' => 'seen']);
        self::assertSame(['update 1'], self::awaitChanges($server, $stream, 1));
        self::done($server, 'open', 'PUT', '/records/posts/2', ['title' => 'unseen']);
        self::assertSame(['update 1', 'reset'], self::awaitChanges($server, $stream, 2));
        self::done($server, 'open', 'DELETE', '/records/posts/2');
        self::assertSame(['update 1', 'reset', 'reset'], self::awaitChanges($server, $stream, 3));
        self::assertNoComplaint($server);
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

    /** @dataProvider servers */
    public function testTheStreamOfARecordBeginsWithItAndTellsItsEndByItsKey(string $name): void
    {
        $server = $this->serveCrudApi($name);
        $stream = self::live($server, 'keys', '/posts/1', self::ONE);

        self::done($server, 'keys', 'PUT', '/records/posts/3', ['title' => 'another'], self::ONE);
        self::done($server, 'keys', 'PUT', '/records/posts/1', ['title' => 'changed'], self::ONE);
        self::awaitChanges($server, $stream, 1);
        self::done($server, 'keys', 'DELETE', '/records/posts/1', null, self::OPERATOR);

        self::assertSame(['update 1', 'delete 1'], self::awaitChanges($server, $stream, 2));
        self::assertSame(
            [['first', null], ['changed', null], [null, '1']],
            array_map(
                static fn (array $change): array => [
                    $change['record']['title'] ?? null,
                    isset($change['record']) ? null : $change['id'],
                ],
                self::changes($stream),
            ),
        );
        self::assertNoComplaint($server);
    }

    public function testTheClientsOwnFiltersColumnsAndJoinsHold(): void
    {
        $server = $this->serveCrudApi();
        $query = '?filter=clicks,ge,5&filter=title,sw,b&include=title&page=7,1&size=1&order=title&format=xml';
        $stream = self::live($server, 'open', "/posts$query");

        self::done($server, 'open', 'PUT', '/records/posts/1', ['title' => 'b', 'clicks' => 4]);
        $two = [['title' => 'bb', 'clicks' => 5], ['title' => 'bc', 'clicks' => 6]];
        self::done($server, 'open', 'PUT', '/records/posts/2,3', $two);
        self::done($server, 'open', 'PUT', '/records/posts/3', ['title' => 'c']);

        // Not in its list: as good as gone.
        $server->client->await(
            $stream,
            static fn (Stream $stream): bool => in_array('delete 3', self::told($stream), true),
            20.0,
            'record 3 is gone',
        );
        $records = array_column(self::changes($stream), 'record');
        self::assertContains(['id' => 2, 'title' => 'bb'], $records);
        foreach ($records as $record) {
            self::assertSame(['id', 'title'], array_keys($record));
        }
    }

    public function testMoreAtOnceThanIsWorthTellingIsOneReset(): void
    {
        $server = $this->serveCrudApi();
        $stream = self::live($server, 'open', '/posts');
        $last = $stream->parser->events[0]->id;
        $stream->close();

        self::done($server, 'open', 'POST', '/records/posts', array_fill(0, 101, ['title' => 'one of many']));
        $back = $server->client->openOne('/crud/open.php/sse/records/posts', ['Last-Event-ID' => $last]);

        $server->client->awaitEvents($back, 1);
        self::assertSame([['action' => 'reset', 'table' => 'posts']], self::changes($back));
    }

    public function testABatchOfAnotherTenantIsToldByNothing(): void
    {
        $server = $this->serveCrudApi();
        $one = self::live($server, 'keys', '/posts', self::ONE);
        $last = $one->parser->events[0]->id;
        $one->close();

        self::done($server, 'keys', 'POST', '/records/posts', array_fill(0, 250, ['title' => 'of two']), self::TWO);
        self::done($server, 'keys', 'PUT', '/records/posts/1', ['title' => 'of one'], self::ONE);
        $back = $server->client->openOne('/crud/keys.php/sse/records/posts', self::ONE + ['Last-Event-ID' => $last]);

        $server->client->awaitEvents($back, 1);
        self::assertSame(['update 1'], self::told($back));
    }

    public function testRecordsThatAreTooLargeForOneEventAreOneReset(): void
    {
        $server = $this->serveCrudApi('php-s', ['sse.max_event_size' => '16K']);
        $stream = self::live($server, 'open', '/posts');

        self::done($server, 'open', 'PUT', '/records/posts/1', ['title' => str_repeat('x', 20_000)]);

        self::assertSame(['reset'], self::awaitChanges($server, $stream, 1));
    }

    /** @dataProvider servers */
    public function testAClientThatComesBackIsToldWhatItMissed(string $name): void
    {
        $server = $this->serveCrudApi($name);
        $stream = self::live($server, 'keys', '/posts', self::ONE);
        self::done($server, 'keys', 'PUT', '/records/posts/1', ['title' => 'seen'], self::ONE);
        $server->client->awaitEvents($stream, 2);
        $last = $stream->parser->events[1]->id;
        $stream->close();

        self::done($server, 'keys', 'PUT', '/records/posts/3', ['title' => 'missed'], self::ONE);
        self::done($server, 'keys', 'PUT', '/records/posts/2', ['title' => 'of two'], self::TWO);
        self::done($server, 'keys', 'DELETE', '/records/posts/1', null, self::ONE);
        $back = $server->client->openOne('/crud/keys.php/sse/records/posts', self::ONE + ['Last-Event-ID' => $last]);
        $server->client->awaitEvents($back, 2);
        self::done($server, 'keys', 'PUT', '/records/posts/3', ['title' => 'new'], self::ONE);
        $server->client->awaitEvents($back, 3);

        self::assertSame(['update 3', 'delete 1', 'update 3'], self::told($back));
        self::assertSame(['missed', 'new'], array_column(array_column(self::changes($back), 'record'), 'title'));
    }

    public function testAClientThatComesBackToAnotherHubLoadsAnew(): void
    {
        $server = $this->serveCrudApi();

        $back = $server->client->openOne('/crud/open.php/sse/records/posts?lastEventId=1700000000000-0');

        $server->client->awaitEvents($back, 1);
        self::assertSame([['action' => 'reset', 'table' => 'posts']], self::changes($back));
    }

    public function testAWakeOfARecordReadsItAgain(): void
    {
        $server = $this->serveCrudApi();
        $stream = self::live($server, 'open', '/posts');

        self::database($server)->exec("UPDATE posts SET title = 'by hand' WHERE id = 2");
        $server->client->request('/trigger.php?topic=records.posts.2');

        self::assertSame(['update 2'], self::awaitChanges($server, $stream, 1));
        self::assertSame('by hand', self::changes($stream)[1]['record']['title']);
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

    public function testWhereNoHandOffIsPossibleTheWorkerServesIt(): void
    {
        $server = $this->serveCrudApi('php-s-blocking');
        $stream = self::live($server, 'keys', '/posts', self::ONE);

        self::done($server, 'keys', 'PUT', '/records/posts/1', ['title' => 'blocking'], self::ONE);

        self::assertSame(['update 1'], self::awaitChanges($server, $stream, 1));
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
        $encode = static fn (string $bytes): string => rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
        $claims = ['sub' => $name, 'iat' => time(), 'exp' => time() + 600];
        $signed = $encode('{"typ":"JWT","alg":"HS256"}') . '.' . $encode(json_encode($claims, JSON_THROW_ON_ERROR));

        return "$signed." . $encode(hash_hmac('sha256', $signed, 'the-secret-of-the-tokens-of-this-test', true));
    }
}
