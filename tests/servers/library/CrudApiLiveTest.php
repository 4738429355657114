<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;

/** The streams beside a PHP-CRUD-API: each client is told what that API lets it read, and nothing else. */
final class CrudApiLiveTest extends CrudApiTestCase
{
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
    public function testAColumnThatIsHiddenIsInNoEventAndThatItWasWrittenNeither(string $name): void
    {
        $server = $this->serveCrudApi($name);
        $table = self::live($server, 'keys', '/posts', self::OPERATOR);
        $record = self::live($server, 'keys', '/posts/1', self::OPERATOR);
        $unhidden = self::live($server, 'open', '/posts');

        // The operator may write the column, and read it no more than others.
        self::done($server, 'keys', 'PUT', '/records/posts/1', ['id' => 1, 'secret' => 'hidden-again'], self::OPERATOR);
        self::assertSame(['update 1'], self::awaitChanges($server, $unhidden, 1));
        self::assertSame('hidden-again', self::changes($unhidden)[1]['record']['secret']);
        // Of a batch each record has columns of its own.
        $batch = [['title' => 'new'], ['secret' => 'hidden-too']];
        self::done($server, 'keys', 'PUT', '/records/posts/2,1', $batch, self::OPERATOR);
        self::assertSame(['update 2'], self::awaitChanges($server, $table, 1));
        $seen = ['title' => 'seen', 'secret' => 'hidden-3'];
        self::done($server, 'keys', 'PUT', '/records/posts/1', $seen, self::OPERATOR);

        self::assertSame(['update 2', 'update 1'], self::awaitChanges($server, $table, 2));
        self::assertSame(['update 1'], self::awaitChanges($server, $record, 1));
        self::assertSame('seen', self::changes($record)[1]['record']['title']);
        self::assertStringNotContainsString('hidden', $table->response->body . $record->response->body);
    }

    public function testSomeRecordsAreOneStreamAsTheyAreOneAnswerOfTheApi(): void
    {
        $server = $this->serveCrudApi('php-s', ['sse.max_topics' => 3]);
        $some = self::live($server, 'keys', '/posts/1,2,03', self::ONE);
        $written = self::live($server, 'keys', '/posts/03', self::ONE);
        self::assertContains('3', self::changes($some)[0]['ids']);

        self::done($server, 'keys', 'PUT', '/records/posts/2', ['title' => 'of two'], self::TWO);
        self::done($server, 'keys', 'POST', '/records/posts', ['title' => 'another'], self::ONE);
        self::done($server, 'keys', 'PUT', '/records/posts/3', ['title' => 'of one'], self::ONE);
        self::done($server, 'keys', 'DELETE', '/records/posts/1', null, self::ONE);

        self::assertSame(['update 3', 'delete 1'], self::awaitChanges($server, $some, 2));
        self::assertSame(['update 3'], self::awaitChanges($server, $written, 1));
        $many = self::call($server, 'keys', 'GET', '/sse/records/posts/1,2,3,4', null, self::ONE);
        self::assertSame(422, $many->status, $many->summary());
        self::assertStringContainsString('sse.max_topics', $many->body);
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

    public function testRecordsThatAreTooLargeForOneEventAreOneReset(): void
    {
        $server = $this->serveCrudApi('php-s', ['sse.max_event_size' => '16K']);
        $stream = self::live($server, 'open', '/posts');

        self::done($server, 'open', 'PUT', '/records/posts/1', ['title' => str_repeat('x', 20_000)]);

        self::assertSame(['reset'], self::awaitChanges($server, $stream, 1));
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

    public function testWhereNoHandOffIsPossibleTheWorkerServesIt(): void
    {
        $server = $this->serveCrudApi('php-s-blocking');
        $stream = self::live($server, 'keys', '/posts', self::ONE);

        self::done($server, 'keys', 'PUT', '/records/posts/1', ['title' => 'blocking'], self::ONE);

        self::assertSame(['update 1'], self::awaitChanges($server, $stream, 1));
    }
}
