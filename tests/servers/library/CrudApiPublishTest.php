<?php

declare(strict_types=1);

namespace PhpSse\Tests;

/** What a PHP-CRUD-API that is live publishes, and when. */
final class CrudApiPublishTest extends CrudApiTestCase
{
    /** @dataProvider servers */
    public function testEveryWriteIsPublishedWithActionAndKey(string $name): void
    {
        $server = $this->serveCrudApi($name);
        $stream = self::watch($server);
        $one = self::watch($server, 'records.posts.4');

        self::assertSame(4, self::done($server, 'open', 'POST', '/records/posts', ['title' => 'new']));
        self::assertSame(1, self::done($server, 'open', 'PUT', '/records/posts/4', ['title' => 'newer']));
        self::assertSame(1, self::done($server, 'open', 'PATCH', '/records/posts/4', ['clicks' => 3]));
        self::assertSame(1, self::done($server, 'open', 'DELETE', '/records/posts/4'));

        $server->client->awaitEvents($stream, 4);
        $server->client->awaitEvents($one, 4);
        self::assertSame(['create 4', 'update 4', 'increment 4', 'delete 4'], self::told($stream));
        self::assertSame($stream->data(), $one->data());
        self::assertSame(['action' => 'create', 'table' => 'posts', 'id' => '4'], self::changes($stream)[0]);
        self::assertNoComplaint($server);
    }

    public function testEachRecordOfABatchIsPublished(): void
    {
        $server = $this->serveCrudApi();
        $stream = self::watch($server);

        self::assertSame([4, 5], self::done($server, 'open', 'POST', '/records/posts', [['title' => 'a'], ['title' => 'b']]));
        self::assertSame([1, 1], self::done($server, 'open', 'PUT', '/records/posts/4,5', [['title' => 'c'], ['title' => 'd']]));
        self::assertSame([1, 1], self::done($server, 'open', 'PATCH', '/records/posts/4,5', [['clicks' => 1], ['clicks' => 2]]));
        self::assertSame([1, 0], self::done($server, 'open', 'DELETE', '/records/posts/4,77'));

        $server->client->awaitEvents($stream, 7);
        // The last one was there for one of its two records only.
        self::done($server, 'open', 'POST', '/records/audits', ['what' => 'the end']);
        $server->client->awaitEvents($stream, 8);
        self::assertSame(
            ['create 4', 'create 5', 'update 4', 'update 5', 'increment 4', 'increment 5', 'delete 4', 'create 2'],
            self::told($stream),
        );
    }

    public function testAFailedBatchPublishesNothing(): void
    {
        $server = $this->serveCrudApi();
        $stream = self::watch($server);

        // The second has no title, which it must have.
        $failed = self::call($server, 'open', 'POST', '/records/posts', [['title' => 'a'], ['tenant' => 'one']]);
        self::assertSame(424, $failed->status, $failed->summary());
        $failed = self::call($server, 'open', 'PUT', '/records/posts/1,2', [['title' => 'a'], ['title' => null]]);
        self::assertSame(424, $failed->status, $failed->summary());
        $failed = self::call($server, 'open', 'POST', '/records/posts', ['tenant' => 'one']);
        self::assertNotSame(200, $failed->status, $failed->summary());
        self::done($server, 'open', 'PUT', '/records/posts/3', ['title' => 'good']);

        $server->client->awaitEvents($stream, 1);
        self::assertSame(['update 3'], self::told($stream));
        self::assertSame('first', self::done($server, 'open', 'GET', '/records/posts/1')['title']);
    }

    public function testARowThatTheClientCannotReachIsAnsweredWithZeroAndNotPublished(): void
    {
        $server = $this->serveCrudApi();
        $stream = self::watch($server);
        $one = ['X-API-Key' => 'one'];

        // Another tenant's, one that recordHandler hides, and one that isn't there.
        self::assertSame(0, self::done($server, 'keys', 'PUT', '/records/posts/2', ['title' => 'x'], $one));
        self::assertSame(0, self::done($server, 'keys', 'PATCH', '/records/posts/2', ['clicks' => 1], $one));
        self::assertSame(0, self::done($server, 'keys', 'DELETE', '/records/posts/2', null, $one));
        self::assertSame(0, self::done($server, 'keys', 'PUT', '/records/articles/2', ['title' => 'x'], $one));
        self::assertSame(0, self::done($server, 'keys', 'PUT', '/records/posts/99', ['title' => 'x'], $one));
        self::assertSame([0, 1], self::done(
            $server,
            'keys',
            'PUT',
            '/records/posts/2,1',
            [['title' => 'x'], ['title' => 'y']],
            $one,
        ));

        $server->client->awaitEvents($stream, 1);
        self::assertSame(['update 1'], self::told($stream));
    }

    public function testARefusedRequestPublishesNothing(): void
    {
        $server = $this->serveCrudApi();
        $stream = self::watch($server);

        self::assertSame(401, self::call($server, 'keys', 'PUT', '/records/posts/1', ['title' => 'x'])->status);
        $wrong = ['X-API-Key' => 'wrong'];
        self::assertSame(403, self::call($server, 'keys', 'PUT', '/records/posts/1', ['title' => 'x'], $wrong)->status);
        $one = ['X-API-Key' => 'one'];
        self::assertSame(404, self::call($server, 'keys', 'POST', '/records/audits', ['what' => 'x'], $one)->status);
        self::done($server, 'keys', 'PUT', '/records/posts/3', ['title' => 'x'], $one);

        $server->client->awaitEvents($stream, 1);
        self::assertSame(['update 3'], self::told($stream));
    }

    public function testTheRecordIsPublishedWhereItIsAskedForAsTheWriterMayReadIt(): void
    {
        $server = $this->serveCrudApi();
        $stream = self::watch($server, 'shop.records.**');

        self::done($server, 'with-records', 'POST', '/records/posts', ['title' => 'new']);
        self::done($server, 'with-records', 'PATCH', '/records/posts/4', ['clicks' => 2]);
        self::done($server, 'with-records', 'DELETE', '/records/posts/4');

        $server->client->awaitEvents($stream, 3);
        self::assertSame([
            ['id' => 4, 'tenant' => 'one', 'title' => 'new', 'clicks' => 0],
            ['id' => 4, 'tenant' => 'one', 'title' => 'new', 'clicks' => 2],
            null,
        ], array_map(static fn (array $change): ?array => $change['record'] ?? null, self::changes($stream)));
        self::assertStringNotContainsString('hidden-value', implode('', $stream->data()));
    }

    public function testARecordThatIsTooLargeForAnEventIsPublishedByItsKey(): void
    {
        $server = $this->serveCrudApi('php-s', ['sse.max_event_size' => 4096]);
        $stream = self::watch($server, 'shop.records.**');

        self::done($server, 'with-records', 'PUT', '/records/posts/1', ['title' => str_repeat('x', 5000)]);

        $server->client->awaitEvents($stream, 1);
        self::assertSame([['action' => 'update', 'table' => 'posts', 'id' => '1']], self::changes($stream));
    }

    public function testAnIdIsOneTopicHoweverItIsWritten(): void
    {
        $server = $this->serveCrudApi();
        $post = self::watch($server, 'records.posts.1');
        $word = self::watch($server, 'records.words.Tree');
        $all = self::watch($server);

        self::assertSame(1, self::done($server, 'open', 'PUT', '/records/posts/01', ['title' => 'a']));
        self::assertSame(1, self::done($server, 'open', 'PUT', '/records/posts/1%20', ['title' => 'b']));
        self::assertSame(1, self::done($server, 'open', 'PUT', '/records/posts/1%0A', ['title' => 'c']));
        self::assertSame(1, self::done($server, 'open', 'PUT', '/records/words/tREE', ['meaning' => 'd']));
        self::assertSame(1, self::done($server, 'open', 'DELETE', '/records/words/TREE'));

        $server->client->awaitEvents($all, 5);
        $server->client->awaitEvents($post, 3);
        $server->client->awaitEvents($word, 2);
        self::assertSame(['update 1', 'update 1', 'update 1', 'update Tree', 'delete Tree'], self::told($all));
    }

    public function testAnIdMayHaveAnyCharacters(): void
    {
        $server = $this->serveCrudApi();
        $all = self::watch($server);
        $words = ['a.b', '*', '**', 'two words', 'Zoë 日本', "line\nbreak", '~', '%2E', 'a/b', str_repeat('long', 45)];

        foreach ($words as $word) {
            self::assertSame($word, self::done($server, 'open', 'POST', '/records/words', ['word' => $word]));
        }

        $server->client->awaitEvents($all, count($words));
        self::assertSame($words, array_column(self::changes($all), 'id'));
        $one = self::live($server, 'open', '/words/' . rawurlencode('a.b'));
        self::done($server, 'open', 'PUT', '/records/words/a.b', ['meaning' => 'x']);
        self::assertSame(['update a.b'], self::awaitChanges($server, $one, 1));
    }

    public function testAWriteIsDoneAlsoWhereNobodyCanBeTold(): void
    {
        $server = $this->serveCrudApi('php-s', ['sse.spawn' => 'off', 'sse.timeout' => 200]);

        self::assertSame(1, self::done($server, 'open', 'PUT', '/records/posts/1', ['title' => 'kept']));

        self::assertSame('kept', self::done($server, 'open', 'GET', '/records/posts/1')['title']);
        $server->awaitLog('a change of records.posts.1 was made, but could not be published');
    }
}
