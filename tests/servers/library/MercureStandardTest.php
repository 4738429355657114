<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Response;
use PhpSse\Tests\Server\Server;

/** mercure.php by version 1.0 of Mercure's protocol. */
final class MercureStandardTest extends MercureTestCase
{
    private const RESOURCE = 'https://example.com/.well-known/mercure';
    private const ISSUER = 'https://issuer.example';
    private const METADATA = 'https://example.com/.well-known/oauth-protected-resource/.well-known/mercure';

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return ['php-s' => ['php-s'], 'nginx-fpm-unix' => ['nginx-fpm-unix']];
    }

    /** @dataProvider servers */
    public function testMatchersAndRightsDecideWhoGetsAnUpdate(string $name): void
    {
        $server = $this->standard($name);
        $url = self::matching(['match_urlpattern' => ['https://example.com/books/:id'], 'match' => ['end', '/a/{b}']]);
        $anonymous = $server->client->openOne($url);
        $own = self::subscriber(['match' => 'https://example.com/users/42/*', 'match_type' => 'urlpattern']);
        $reader = $server->client->openOne($url, $own);
        $all = $server->client->openOne(self::matching(['match_exact' => ['*']]), self::subscriber(['match' => '*']));
        foreach (
            [
                ['urn:1', ['https://example.com/books/1'], false],
                ['urn:2', ['https://example.com/books/1/2'], false],
                ['urn:3', ['https://example.com/books/1'], true],
                ['urn:4', ['https://example.com/books/1', 'https://example.com/users/42/books/1'], true],
                ['urn:5', ['/a/b'], false],
                ['urn:6', ['/a/{b}'], false],
                ['urn:7', ['end'], false],
            ] as [$id, $topics, $private]
        ) {
            $this->post($server, $topics, $id, $private);
        }
        $this->assertIds($server, $anonymous, ['urn:1', 'urn:6', 'urn:7']);
        $this->assertIds($server, $reader, ['urn:1', 'urn:4', 'urn:6', 'urn:7']);
        $this->assertIds($server, $all, ['urn:1', 'urn:2', 'urn:3', 'urn:4', 'urn:5', 'urn:6', 'urn:7']);

        $since = "$url&last_event_id=urn%3A1";
        foreach ([['urn:1', []], ['earliest', ['Last-Event-ID' => 'urn:none']]] as [$told, $headers]) {
            $late = $server->client->openOne($since, $own + $headers + ['Origin' => 'https://reader.example']);
            self::assertSame('Mercure-Last-Event-ID', $late->response->headers['access-control-expose-headers'] ?? null);
            self::assertSame($told, $late->response->headers['mercure-last-event-id'] ?? null);
            self::assertArrayNotHasKey('last-event-id', $late->response->headers);
            $late->close();
        }
    }

    public function testWhatIsNoMatcherIsRefused(): void
    {
        $server = $this->standard();
        foreach (
            [
                '' => 'match',
                '?topic=a' => 'match',
                '?match_regexp=a' => "no parameter 'match_regexp'",
                '?match=a&Match=b' => "no parameter 'Match'",
                '?match=a&matchable=b' => "no parameter 'matchable'",
                '?match=%00' => 'control',
                '?match=%E2%80%AE' => 'format characters',
                '?match=%FF' => 'not UTF-8',
                '?match=' => 'empty',
                '?match_urlpattern=%2Fa%2F(b)' => "'(' has to be escaped",
                '?match_urlpattern=books%2F%3Aid' => 'begin with a scheme',
                '?match=' . str_repeat('x', 1025) => '1025 bytes',
            ] as $query => $text
        ) {
            $answer = $server->client->request(self::PATH . $query);
            self::assertSame(400, $answer->status, "$query: {$answer->summary()}");
            self::assertStringContainsString($text, $answer->body, $query);
            self::assertArrayNotHasKey('www-authenticate', $answer->headers);
        }
    }

    public function testErrorsAreThoseOfOAuthsBearers(): void
    {
        $server = $this->standard(anonymous: false);
        $challenge = static fn (string $error): string => 'Bearer ' . ($error === '' ? '' : "error=\"$error\", ")
            . 'resource_metadata="' . self::METADATA . '"';
        $good = self::claims(['subscribe'], [['match' => '*']]);
        $detail = $good['authorization_details'][0];
        $bad = [
            'typ' => [$good, 'JWT'],
            'no exp' => [array_diff_key($good, ['exp' => 0]), 'at+jwt'],
            'over' => [['exp' => time() - 1] + $good, 'at+jwt'],
            'aud' => [['aud' => 'https://other.example'] + $good, 'at+jwt'],
            'iss' => [['iss' => self::ISSUER . '/'] + $good, 'at+jwt'],
        ];
        foreach (
            [
                ['actions' => []] + $detail,
                ['actions' => ['subscribe', 1]] + $detail,
                ['topics' => []] + $detail,
                ['topics' => [['match' => 'a', 'match_type' => 'regexp']]] + $detail,
                ['topics' => [['match' => 'a', 'match_type' => null]]] + $detail,
                ['topics' => [['match' => '/a/(b)', 'match_type' => 'urlpattern']]] + $detail,
                ['topics' => ['a']] + $detail,
                ['topics' => [['match' => "a\u{202E}"]]] + $detail,
                ['payload' => 'a'] + $detail,
                ['payload' => []] + $detail,
                ['topics' => array_fill(0, 1001, ['match' => 'a'])] + $detail,
            ] as $nth => $wrong
        ) {
            $bad["detail $nth"] = [['authorization_details' => [$detail, $wrong]] + $good, 'at+jwt'];
        }
        foreach ($bad as $what => [$claims, $type]) {
            $answer = $server->client->request(self::PATH . '?match=a', self::signed($claims, $type));
            self::assertSame([401, $challenge('invalid_token')], self::told($answer), "$what: {$answer->summary()}");
        }
        $token = self::token([], ['typ' => 'at+jwt'] + $good);
        foreach (
            [
                [401, '', '?match=a', []],
                [401, '', "?match=a&authorization=$token", []],
                [400, 'invalid_request', '?match=a', ['Authorization' => 'Basic YTpi']],
            ] as [$status, $error, $query, $headers]
        ) {
            $answer = $server->client->request(self::PATH . $query, $headers);
            self::assertSame([$status, $challenge($error)], self::told($answer), $answer->summary());
        }
        foreach (['application/at+jwt', 'AT+JWT'] as $type) {
            $stream = $server->client->openOne(self::PATH . '?match=a', self::signed($good, $type));
            $stream->close();
        }
        $cookie = ['Cookie' => '__Secure-mercure_access_token=' . substr(self::signed($good)['Authorization'], 7)];
        $server->client->openOne(self::PATH . '?match=a', $cookie)->close();
        $details = [$detail, ['type' => 'other', 'actions' => 1], ['actions' => ['publish', 'eat']] + $detail];
        $other = ['authorization_details' => $details];
        $server->client->openOne(self::PATH . '?match=a', self::signed($other + $good + ['aud' => 1]))->close();

        $subscriber = $server->client->request(self::PATH, self::signed($good), 'POST', 'topic=a');
        self::assertSame([403, $challenge('insufficient_scope')], self::told($subscriber));
        $some = self::signed(self::claims(['publish'], [['match' => 'a']]));
        $partly = $server->client->request(self::PATH, $some, 'POST', 'topic=a&topic=b');
        self::assertSame([403, $challenge('insufficient_scope')], self::told($partly));
        $forged = $server->client->request(self::PATH, $cookie + ['Origin' => 'https://evil.example'], 'POST', 'topic=a');
        self::assertSame([400, $challenge('invalid_request')], self::told($forged));
    }

    public function testAnUpdateThatOnlyTheHubMayMakeIsRefused(): void
    {
        $server = $this->standard();
        $all = self::signed(self::claims(['publish'], [['match' => '*']]));
        $below = [
            '/.well-known/mercure', '/.well-known/mercure/subscriptions/exact/a/b', 'https://other.example/.well-known/mercure/x',
            '/.well-known/%6Dercure/x', '/.well-known/a/../mercure/x', '/.well-known/./mercure', 'mercure', '?a', '#a',
            '//h/.well-known/mercure', 'HTTPS:\\\\h\\.well-known\\mercure', 'http:////h/.well-known/mercure?x',
            'urn:/.well-known/mercure/a', '///h/.well-known/mercure/a', 'https:/.well-known/mercure/a',
            '/a/%2e%2e/.well-known/mercure', '../.well-known/mercure', 'https:mercure', ' /.well-known/mercure',
            '*', "a\u{200B}", "a\x7F", "\xFF",
        ];
        $allowed = ['/.well-known/mercury', '/.well-known/mercures', 'https://h/a/.well-known/mercure', 'urn:.well-known/mercure', 'a:b',
            'https://h/?/.well-known/mercure', '/.well-known/mercure/../a'];
        foreach (
            [
                ...array_map(static fn (string $topic): array => [400, ['topic' => $topic]], $below),
                ...array_map(static fn (string $topic): array => [200, ['topic' => $topic]], $allowed),
                [400, ['topic' => 'a', 'type' => 'mercure']],
                [400, ['topic' => 'a', 'id' => 'earliest']],
                [400, ['topic' => 'a', 'id' => '#1']],
                [400, ['topic' => 'a', 'id' => "1\u{85}"]],
                [400, ['topic' => 'a', 'type' => "a\tb"]],
                [400, ['topic' => 'a', 'retry' => '+1']],
                [400, ['data' => 'a']],
                [200, ['topic' => 'a', 'private' => '', 'other' => 'x', 'id' => 'https://example.com/1']],
            ] as [$status, $fields]
        ) {
            $answer = $server->client->request(self::PATH, $all, 'POST', http_build_query($fields));
            self::assertSame($status, $answer->status, json_encode($fields) . $answer->summary());
        }
        $many = implode('&', array_fill(0, 1001, 'topic=a'));
        self::assertSame(413, $server->client->request(self::PATH, $all, 'POST', $many)->status);
    }

    /** @dataProvider servers */
    public function testSubscriptionsAreToldOfAndListed(string $name): void
    {
        $server = $this->standard($name, arguments: 'subscriptions: true, ');
        $events = '/.well-known/mercure/subscriptions/:type/:match/:subscriber';
        $right = self::subscriber(['match' => $events, 'match_type' => 'urlpattern']);
        $watcher = $server->client->openOne(self::matching(['match_urlpattern' => [$events]]), $right);
        $server->client->awaitEvents($watcher, 1);
        self::assertSame('mercure', $watcher->parser->events[0]->name);
        $payload = static fn (string $match, string $type, object $payload): array => [
            'type' => 'https://mercure.rocks/authorization-detail',
            'actions' => ['subscribe'],
            'topics' => [['match' => $match, 'match_type' => $type]],
            'payload' => $payload,
        ];
        $claims = ['authorization_details' => [
            $payload('https://example.com/bar/:id', 'urlpattern', (object) ['of' => 'bars']),
            $payload('*', 'exact', (object) []),
        ]] + self::claims([], []);
        $url = self::matching(['match' => ['z'], 'match_urlpattern' => ['https://example.com/bar/:id']]);
        $reader = $server->client->openOne($url, self::signed($claims));
        $server->client->awaitEvents($watcher, 3);
        $documents = array_map(static fn (string $data): object => json_decode($data), array_slice($watcher->data(), 1));
        usort($documents, static fn (object $one, object $other): int => $one->match <=> $other->match);
        [$bars, $plain] = $documents;
        $path = '/.well-known/mercure/subscriptions/urlpattern/https%3A%2F%2Fexample.com%2Fbar%2F%3Aid';
        self::assertEquals((object) [
            'id' => "$path/" . rawurlencode($bars->subscriber),
            'type' => 'subscription',
            'match_type' => 'urlpattern',
            'match' => 'https://example.com/bar/:id',
            'subscriber' => $bars->subscriber,
            'active' => true,
            'payload' => (object) ['of' => 'bars'],
        ], $bars);
        self::assertEquals(['exact', 'z', (object) []], [$plain->match_type, $plain->match, $plain->payload]);

        $all = self::subscriber(['match' => '/.well-known/mercure/subscriptions*', 'match_type' => 'urlpattern']);
        $list = $this->read($server, '', $all);
        self::assertSame('application/json', $list->headers['content-type']);
        $told = json_decode($list->body);
        self::assertSame(['subscriptions', '/.well-known/mercure/subscriptions'], [$told->type, $told->id]);
        self::assertCount(3, $told->subscriptions);
        $link = '~^<' . preg_quote(self::RESOURCE) . '>; rel="mercure"; last-event-id="([^"]+)"; type="mercure"; '
            . 'content-type="application/json"$~D';
        self::assertSame(1, preg_match($link, $list->headers['link'], $cursor), $list->headers['link']);
        $below = static fn (string $path): string => substr($path, strlen('/.well-known/mercure/subscriptions'));
        self::assertEquals([$bars], json_decode($this->read($server, $below($path), $all)->body)->subscriptions);
        self::assertEquals($bars, json_decode($this->read($server, $below($bars->id), $all)->body));
        foreach ([[403, '', $right], [401, '', []], [404, '/exact', $all], [404, '/regexp/a', $all], [404, '/exact/a/b', $all]] as $case) {
            [$status, $path, $headers] = $case;
            $answer = $server->client->request(self::PATH . "/subscriptions$path", $headers);
            self::assertSame($status, $answer->status, $answer->summary());
        }
        $reader->close();
        $since = self::matching(['match_urlpattern' => [$events]]) . '&last_event_id=' . rawurlencode($cursor[1]);
        $late = $server->client->openOne($since, $right);
        $server->client->awaitEvents($late, 2);
        self::assertFalse(json_decode($late->data()[0])->active);
    }

    public function testWhatClientsNeedToKnowIsTold(): void
    {
        $server = $this->standard(arguments: 'subscriptions: true, ');
        $told = $server->client->request(self::PATH . '/.well-known/oauth-protected-resource/.well-known/mercure');
        self::assertSame([
            'resource' => self::RESOURCE,
            'authorization_details_types_supported' => ['https://mercure.rocks/authorization-detail'],
            'bearer_methods_supported' => ['header'],
            'mercure_cookie' => '__Secure-mercure_access_token',
            'mercure_matcher_types_supported' => ['exact', 'urlpattern'],
            'mercure_subscriptions' => true,
        ], json_decode($told->body, true));
        $draft = $this->serveMercure()->client->request(self::PATH . '/.well-known/oauth-protected-resource/.well-known/mercure');
        self::assertSame(404, $draft->status);
    }

    private function standard(string $name = 'php-s', bool $anonymous = true, string $arguments = ''): Server
    {
        $rewrite = 'rewrite ^/sse/mercure[.]php/ /sse/mercure.php break;';
        $version = 'version: new Sse\Mercure\Standard("' . self::RESOURCE . '", "' . self::ISSUER . '")';
        $options = str_starts_with($name, 'nginx') ? ['directive' => $rewrite] : [];

        return $this->serveMercure($name, $anonymous, $options, arguments: $arguments . $version);
    }

    /** @param array<string, list<string>> $matchers */
    private static function matching(array $matchers): string
    {
        $fields = [];
        foreach ($matchers as $name => $values) {
            foreach ($values as $value) {
                $fields[] = "$name=" . rawurlencode($value);
            }
        }

        return self::PATH . '?' . implode('&', $fields);
    }

    /**
     * @param list<string>                $actions
     * @param list<array<string, string>> $topics
     * @return array<string, mixed>
     */
    private static function claims(array $actions, array $topics): array
    {
        return [
            'iss' => self::ISSUER,
            'aud' => ['https://other.example', self::RESOURCE],
            'exp' => time() + 3600,
            'authorization_details' => [
                ['type' => 'https://mercure.rocks/authorization-detail', 'actions' => $actions, 'topics' => $topics],
            ],
        ];
    }

    /**
     * @param array<string, mixed> $claims
     * @return array<string, string>
     */
    private static function signed(array $claims, string $type = 'at+jwt'): array
    {
        return ['Authorization' => 'Bearer ' . Signer::ofSecret(self::SECRET)->token($claims, ['typ' => $type])];
    }

    /**
     * @param array<string, string> $topic
     * @return array<string, string>
     */
    private static function subscriber(array $topic): array
    {
        return self::signed(self::claims(['subscribe'], [$topic]));
    }

    /** @param list<string> $topics */
    private function post(Server $server, array $topics, string $id, bool $private): void
    {
        $fields = implode('&', array_map(static fn (string $topic): string => 'topic=' . rawurlencode($topic), $topics));
        $fields .= '&id=' . rawurlencode($id) . ($private ? '&private=on' : '');
        $answer = $server->client->request(self::PATH, self::signed(self::claims(['publish'], [['match' => '*']])), 'POST', $fields);
        self::assertSame([200, $id], [$answer->status, $answer->body], $answer->summary());
    }

    /** @param array<string, string> $headers */
    private function read(Server $server, string $path, array $headers): Response
    {
        $answer = $server->client->request(self::PATH . "/subscriptions$path", $headers);
        self::assertSame(200, $answer->status, $answer->summary());

        return $answer;
    }

    /** @return array{int, ?string} */
    private static function told(Response $answer): array
    {
        return [$answer->status, $answer->headers['www-authenticate'] ?? null];
    }
}
