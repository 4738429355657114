<?php

declare(strict_types=1);

namespace PhpSse\Tests;

/** A client that comes back to its stream beside a PHP-CRUD-API, and what it has missed. */
final class CrudApiResumeTest extends CrudApiTestCase
{
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

    public function testAsManyRecordsAsAStreamMayHaveTopicsAreGoneOnWith(): void
    {
        $server = $this->serveCrudApi('php-s', ['sse.max_topics' => 2]);
        $some = self::live($server, 'keys', '/posts/1,3', self::ONE);
        $last = $some->parser->events[0]->id;
        $some->close();

        self::done($server, 'keys', 'POST', '/records/posts', ['title' => 'another'], self::ONE);
        self::done($server, 'keys', 'PUT', '/records/posts/3', ['title' => 'missed'], self::ONE);
        $back = $server->client->openOne('/crud/keys.php/sse/records/posts/1,3', self::ONE + ['Last-Event-ID' => $last]);

        $server->client->awaitEvents($back, 1);
        self::assertSame(['update 3'], self::told($back));
        self::assertNoComplaint($server);
    }

    public function testWhereAStreamMayHaveOneTopicOnlyAClientThatComesBackLoadsAnew(): void
    {
        $server = $this->serveCrudApi('php-s', ['sse.max_topics' => 1]);
        $stream = self::live($server, 'keys', '/posts', self::ONE);
        $last = $stream->parser->events[0]->id;
        $stream->close();

        self::done($server, 'keys', 'PUT', '/records/posts/3', ['title' => 'missed'], self::ONE);
        $back = $server->client->openOne('/crud/keys.php/sse/records/posts', self::ONE + ['Last-Event-ID' => $last]);
        $server->client->awaitEvents($back, 1);
        self::done($server, 'keys', 'PUT', '/records/posts/3', ['title' => 'new'], self::ONE);
        $server->client->awaitEvents($back, 2);

        self::assertSame(['reset', 'update 3'], self::told($back));
        self::assertNotSame($last, $back->parser->events[0]->id);
        self::assertNoComplaint($server);
    }

    public function testAClientThatComesBackToAnotherHubLoadsAnew(): void
    {
        $server = $this->serveCrudApi();

        $back = $server->client->openOne('/crud/open.php/sse/records/posts?lastEventId=1700000000000-0');

        $server->client->awaitEvents($back, 1);
        self::assertSame([['action' => 'reset', 'table' => 'posts']], self::changes($back));
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
}
