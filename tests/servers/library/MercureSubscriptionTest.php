<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Server\Server;

/** Active subscriptions of Mercure 0.x: the updates that tell of them, and their list. */
final class MercureSubscriptionTest extends MercureTestCase
{
    private const EVENTS = '/.well-known/mercure/subscriptions/{topic}/{subscriber}';
    private const LIST = '/.well-known/mercure/subscriptions{/topic}{/subscriber}';

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return ['php-s' => ['php-s'], 'nginx-fpm-unix' => ['nginx-fpm-unix']];
    }

    /** @dataProvider servers */
    public function testWhoHasARightIsToldOfSubscriptionsAndMayListThem(string $name): void
    {
        $server = $this->subscriptions($name);
        $watcher = $server->client->openOne(self::url(self::EVENTS), self::bearer(['subscribe' => [self::EVENTS]]));
        $server->client->awaitEvents($watcher, 1);
        $own = json_decode($watcher->data()[0]);
        self::assertSame([self::EVENTS, true, false], [$own->topic, $own->active, isset($own->payload)]);

        $token = self::bearer(['subscribe' => [], 'payload' => ['user' => (object) [], 'tags' => []]]);
        $reader = $server->client->openOne(self::url('https://example.com/books/{id}', 'z'), $token);
        $server->client->awaitEvents($watcher, 3);
        $books = json_decode($watcher->data()[1]);
        $path = '/.well-known/mercure/subscriptions/https%3A%2F%2Fexample.com%2Fbooks%2F%7Bid%7D/'
            . rawurlencode($books->subscriber);
        self::assertMatchesRegularExpression('/^urn:uuid:[\da-f-]{36}$/D', $books->subscriber);
        self::assertEquals((object) [
            '@context' => 'https://mercure.rocks/',
            'id' => $path,
            'type' => 'Subscription',
            'topic' => 'https://example.com/books/{id}',
            'subscriber' => $books->subscriber,
            'active' => true,
            'payload' => (object) ['user' => (object) [], 'tags' => []],
        ], $books);

        $mayList = self::bearer(['subscribe' => [self::LIST]]);
        $all = $this->read($server, '', $mayList);
        $topics = array_column($all->subscriptions, 'topic');
        sort($topics);
        self::assertSame([self::EVENTS, 'https://example.com/books/{id}', 'z'], $topics);
        self::assertSame(['Subscriptions', '/.well-known/mercure/subscriptions'], [$all->type, $all->id]);
        $of = $this->read($server, '/https%3A%2F%2Fexample.com%2Fbooks%2F%7Bid%7D', $mayList);
        self::assertEquals([$books], $of->subscriptions);
        $one = $this->read($server, substr($path, strlen('/.well-known/mercure/subscriptions')), $mayList);
        self::assertEquals((object) ((array) $books + ['lastEventID' => $all->lastEventID]), $one);

        $reader->close();
        $server->client->awaitEvents($watcher, 5);
        $ended = json_decode($watcher->data()[3]);
        self::assertEquals((object) (['active' => false] + (array) $books), $ended);
        $since = self::url(self::EVENTS) . '&lastEventID=' . rawurlencode($all->lastEventID);
        $late = $server->client->openOne($since, self::bearer(['subscribe' => ['*']]));
        $server->client->awaitEvents($late, 2);
        self::assertEquals($ended, json_decode($late->data()[0]), 'what has changed since the list');
        $gone = $server->client->request(self::PATH . substr($path, strlen('/.well-known/mercure')), $mayList);
        self::assertSame(404, $gone->status, $gone->summary());
    }

    /** Attack: whoever may see one of them, or nothing, reads who else is there, and what their tokens say. */
    public function testEveryoneElseIsToldNothing(): void
    {
        $server = $this->subscriptions('php-s');
        $nobody = $server->client->openOne(self::url(self::EVENTS, 'end'), self::bearer(['subscribe' => ['a']]));
        $reader = $server->client->openOne(self::url('b'));
        $right = self::bearer(['subscribe' => ['/.well-known/mercure/subscriptions/a']]);
        foreach (
            [
                [401, '', []],
                [401, '', $right],
                [401, '/b', $right],
                [401, '/a/b', $right],
                [200, '/a', $right],
                [200, '/%61', $right],
                [401, '/a', self::bearer(['publish' => ['*']])],
                [404, '/a/b', self::bearer(['subscribe' => ['*']])],
                [400, '/' . str_repeat('x', 1025), self::bearer(['subscribe' => ['*']])],
            ] as [$status, $path, $headers]
        ) {
            $answer = $server->client->request(self::PATH . "/subscriptions$path", $headers);
            self::assertSame($status, $answer->status, "$path: {$answer->summary()}");
        }
        $posted = $server->client->request(self::PATH . '/subscriptions', $right, 'POST', 'topic=a');
        self::assertSame(405, $posted->status);
        self::publish($server, ['topic' => 'end', 'id' => 'urn:end']);
        $this->assertIds($server, $nobody, ['urn:end']);
        $reader->close();
    }

    public function testAPayloadOrSelectorThatIsTooLongIsRefused(): void
    {
        $server = $this->subscriptions('php-s');
        $payload = self::bearer(['subscribe' => [], 'payload' => str_repeat('x', 4096)]);
        foreach ([[self::url('a'), $payload], [self::url(str_repeat('/', 341)), []]] as [$url, $headers]) {
            $answer = $server->client->request($url, $headers);
            self::assertSame(400, $answer->status, $answer->summary());
        }
    }

    public function testWithoutTheSettingNothingIsToldAndNothingListed(): void
    {
        $server = $this->serveMercure();
        $all = self::bearer(['subscribe' => ['*']]);
        $watcher = $server->client->openOne(self::url('*'), $all);
        self::assertSame(404, $server->client->request(self::PATH . '/subscriptions', $all)->status);
        self::publish($server, ['topic' => 'a', 'id' => 'urn:1']);
        $this->assertIds($server, $watcher, ['urn:1']);
    }

    private function subscriptions(string $name): Server
    {
        $rewrite = 'rewrite ^/sse/mercure[.]php/subscriptions /sse/mercure.php break;';
        $options = str_starts_with($name, 'nginx') ? ['directive' => $rewrite] : [];

        return $this->serveMercure($name, options: $options, arguments: 'subscriptions: true');
    }

    /** @param array<string, string> $headers */
    private function read(Server $server, string $path, array $headers): object
    {
        $answer = $server->client->request(self::PATH . "/subscriptions$path", $headers);
        self::assertSame(200, $answer->status, $answer->summary());
        self::assertSame('application/ld+json', $answer->headers['content-type']);

        return json_decode($answer->body, false, 8, JSON_THROW_ON_ERROR);
    }
}
