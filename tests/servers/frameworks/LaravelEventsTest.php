<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Event;
use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Php;
use PhpSse\Tests\Server\Server;
use PhpSse\Tests\Server\TempFolder;

/** What reaches the streams of a Laravel application: by the queue, after a commit, of models, without a class, after faults. */
final class LaravelEventsTest extends LaravelTestCase
{
    private const USERS = 300;

    public function testAnEventOfTheQueueComesOnceTheTransactionIsCommittedAndAFailedOneNever(): void
    {
        $server = $this->serveLaravel('nginx-fpm-unix');
        $stream = self::listen($server, self::login($server, 1), ['private-App.User.1']);
        $failed = $server->client->request(self::path('broadcasting', '/pay'), [], 'POST', 'title=never&fail=1');
        self::assertSame(409, $failed->status, $failed->summary());
        self::post($server, self::path('broadcasting', '/pay'), [], ['title' => 'tea']);
        self::post($server, self::path('broadcasting', '/notify'), [], []);

        self::work($server);

        $server->client->await(
            $stream,
            static fn (Stream $stream): bool => in_array('order.paid', array_column($stream->parser->events, 'name'), true),
            20.0,
            'the order is told',
        );
        $events = array_slice($stream->parser->events, 1);
        self::assertSame(
            ['Illuminate\Notifications\Events\BroadcastNotificationCreated', 'database-notifications.sent', 'order.paid'],
            array_column($events, 'name'),
        );
        self::assertSame(42, json_decode($events[0]->data, true)['amount']);
        self::assertSame('tea', json_decode($events[2]->data, true)['title']);
    }

    public function testWhatWasSaidWhileTheHubWasGoneAndFpmReloadedIsTheFirstThingThatAClientGets(): void
    {
        $folder = $this->disk = new TempFolder();
        $file = $folder->folder('db', 0700, Php::workerUser()) . '/sse.db';
        $server = $this->serveLaravel('nginx-fpm-unix', ['sse.history' => "sqlite:$file"]);
        $ann = self::login($server, 1);
        $stream = self::listen($server, $ann, ['private-App.User.1', 'news']);
        self::say($server, $ann, ['news'], 'one');
        self::assertSame(['one'], self::texts($server, $stream, 1));
        $last = self::said($stream)[0]->id;

        posix_kill($server->hub(), SIGKILL);
        $server->client->await($stream, static fn (Stream $stream): bool => $stream->ended, 20.0, 'the stream ends with its hub');
        $server->reloadFpm();
        self::say($server, $ann, ['private-App.User.1'], 'two');
        self::say($server, $ann, ['private-App.User.2'], 'of bob');
        self::say($server, $ann, ['news'], 'three');

        $again = self::listen($server, $ann + ['Last-Event-ID' => $last], ['private-App.User.1', 'news']);
        self::assertSame(['two', 'three'], self::texts($server, $again, 2));
    }

    public function testAModelTellsThatItHasChanged(): void
    {
        $server = $this->serveLaravel('nginx-fpm-unix');
        $stream = self::listen($server, self::login($server, 1), ['private-App.User.1']);
        self::post($server, self::path('broadcasting', '/rename/2'), [], ['name' => 'Rob']);
        self::post($server, self::path('broadcasting', '/rename/1'), [], ['name' => 'Anna']);

        self::work($server);
        $server->client->awaitEvents($stream, 2);

        self::assertSame('UserUpdated', $stream->parser->events[1]->name);
        self::assertSame('Anna', json_decode($stream->parser->events[1]->data, true)['model']['name']);
    }

    /** Three hundred streams on two workers; the queue goes on while the hub is killed, FPM starts anew, and nobody listens. */
    public function testEachOfManyUsersGetsEachOfTheOwnEventsOnceAndInOrder(): void
    {
        $folder = $this->disk = new TempFolder();
        $file = $folder->folder('db', 0700, Php::workerUser()) . '/sse.db';
        $server = $this->serveLaravel('nginx-fpm-unix', ['sse.history' => "sqlite:$file"]);
        $users = self::loginAll($server, range(1, self::USERS));
        $streams = self::listenAll($server, $users);
        self::assertCount(2, $server->workers());
        self::post($server, self::path('broadcasting', '/pay-all'), [], ['title' => 'one']);
        self::work($server);
        $server->client->awaitAll($streams, static fn (Stream $stream): bool => self::titles($stream) !== [], 30.0, 'it came');
        $last = array_map(static fn (Stream $stream): string => array_slice($stream->parser->events, -1)[0]->id, $streams);

        posix_kill($server->hub(), SIGKILL);
        $server->client->awaitAll($streams, static fn (Stream $stream): bool => $stream->ended, 30.0, 'the streams end');
        $server->reloadFpm();
        foreach (['two', 'three'] as $title) {
            self::post($server, self::path('broadcasting', '/pay-all'), [], ['title' => $title]);
        }
        self::work($server);
        foreach ($users as $id => $headers) {
            $users[$id] = $headers + ['Last-Event-ID' => $last[$id]];
        }
        $again = self::listenAll($server, $users);
        self::post($server, self::path('broadcasting', '/pay-all'), [], ['title' => 'four']);
        self::work($server);

        $server->client->awaitAll($again, static fn (Stream $stream): bool => count(self::titles($stream)) >= 3, 30.0, 'the rest came');
        foreach ($users as $id => $headers) {
            self::assertSame(['one', 'two', 'three', 'four'], [...self::titles($streams[$id]), ...self::titles($again[$id])]);
        }
        $members = json_decode(self::ask($server, $users[1], 'members', ['channel' => 'presence-room.all'])->body, true);
        self::assertSame(self::USERS, $members['count']);
        $seesAll = static fn (Stream $stream): bool => count(self::present($stream)) === self::USERS;
        $server->client->awaitAll($again, $seesAll, 30.0, 'each is told of all');
        self::assertEqualsCanonicalizing(array_map(strval(...), array_keys($users)), array_column($members['members'], 'id'));
        self::assertSame(self::USERS, $server->openStreams());
        self::assertNoComplaint($server);
    }

    public function testABroadcastWithoutAClassReachesAllButItsSender(): void
    {
        $server = $this->serveLaravel('nginx-fpm-unix');
        $ann = self::login($server, 1);
        [$own, $other] = [self::listen($server, $ann, ['private-App.User.1']), self::listen($server, $ann, ['private-App.User.1'])];

        $sent = self::post($server, self::path('broadcasting', '/anonymous'), ['X-Socket-ID' => self::socketId($own)], []);
        self::say($server, $ann, ['private-App.User.1'], 'then this');

        self::assertSame(['then this'], self::texts($server, $own, 1));
        self::assertSame(['then this'], self::texts($server, $other, 1));
        $types = $sent->body === 'sent' ? ['stream', 'paid', 'App\Events\Said'] : ['stream', 'App\Events\Said'];
        self::assertSame($types, array_column($other->parser->events, 'name'));
        self::assertSame(['stream', 'App\Events\Said'], array_column($own->parser->events, 'name'));
    }

    /** @dataProvider servers */
    public function testAResponseAsLaravelsEventStreamHoldsNoWorkerAndEndsAsThatDoes(string $name): void
    {
        $server = $this->serveLaravel($name);
        $ann = self::login($server, 1);
        $work = static fn (int $done) => self::post($server, self::path('broadcasting', "/work/$done"), [], []);
        $work(0);
        $stream = $server->client->openOne(self::path('broadcasting', '/progress'), $ann);
        $server->client->awaitEvents($stream, 2);
        $work(1);
        $server->client->awaitEvents($stream, 4);
        $work(2);
        $server->client->await($stream, static fn (Stream $stream): bool => $stream->ended, 20.0, 'the stream ends');

        self::assertSame('the application', $stream->response->headers['x-of']);
        self::assertSame(
            ['0 of 2', '{"done":0,"by":"Ann"}', '1 of 2', '{"done":1,"by":"Ann"}', '2 of 2', '{"done":2,"by":"Ann"}', '</stream>'],
            array_column($stream->parser->events, 'data'),
        );
        self::assertSame(['update'], array_unique(array_column($stream->parser->events, 'name')));
        $last = array_slice($stream->parser->events, -1)[0]->id;
        $again = $server->client->request(self::path('broadcasting', '/progress'), $ann + ['Last-Event-ID' => $last]);
        self::assertSame(204, $again->status, $again->summary());
        self::assertNoComplaint($server);
    }

    public function testAWorkerOfTheQueueThatBroadcastsThousandsOfTimesDoesNotGrow(): void
    {
        $server = $this->serveLaravel('nginx-fpm-unix');
        self::post($server, self::path('broadcasting', '/announce-many'), [], []);

        self::work($server);

        self::assertSame(2000, $server->stats()['published']);
        self::assertDoesNotGrow($server, 20);
    }

    public function testAProcessThatAnswersRequestAfterRequestDoesNotGrow(): void
    {
        $server = $this->serveLaravel('nginx-fpm-unix');

        $loop = self::program($server, 'loop.php', []);

        self::assertSame(0, $loop->awaitExit(60.0), $loop->output());
        self::assertSame(['announce 200' => 280, 'sse/channels 200' => 280], json_decode($loop->output(), true));
        self::assertSame(280, $server->stats()['published']);
        self::assertDoesNotGrow($server, 10);
    }

    /**
     * A stream for each user, with the own channel and a room that all are in.
     *
     * @param array<int, array<string, string>> $users
     *
     * @return array<int, Stream>
     */
    private static function listenAll(Server $server, array $users): array
    {
        $streams = [];
        foreach ($users as $id => $headers) {
            $query = http_build_query(['channels' => ["private-App.User.$id", 'presence-room.all']]);
            $streams[$id] = $server->client->open(self::path('broadcasting', "/sse/stream?$query"), $headers);
        }
        $server->client->awaitAll($streams, static fn (Stream $stream): bool => $stream->isOpen(), 60.0, 'all streams are open');

        return $streams;
    }

    /** @return list<string> the orders that a stream has told to be paid */
    private static function titles(Stream $stream): array
    {
        $paid = array_filter($stream->parser->events, static fn (Event $event): bool => $event->name === 'order.paid');

        return array_values(array_map(
            static fn (Event $event): string => json_decode($event->data, true, 512, JSON_THROW_ON_ERROR)['title'],
            $paid,
        ));
    }

    /** @return array<string, true> ids of the members that a stream has told of, and not told to have left */
    private static function present(Stream $stream): array
    {
        $present = [];
        foreach ($stream->parser->events as $event) {
            if (!str_starts_with($event->name, 'presence.')) {
                continue;
            }
            $ids = array_fill_keys(array_column(json_decode($event->data, true, 512, JSON_THROW_ON_ERROR)['members'], 'id'), true);
            $present = match ($event->name) {
                'presence.list' => $ids,
                'presence.join' => $present + $ids,
                'presence.leave' => array_diff_key($present, $ids),
            };
        }

        return $present;
    }

    /** A program of the application has noted its memory so often, and no more in the end than after a quarter of its work. */
    private static function assertDoesNotGrow(Server $server, int $notes): void
    {
        $noted = file("{$server->folder->path}/log/broadcasting/memory", FILE_IGNORE_NEW_LINES);
        self::assertCount($notes, $noted);
        [$php, $resident] = explode(' ', $noted[intdiv($notes, 4)]);
        [$phpInTheEnd, $residentInTheEnd] = explode(' ', $noted[$notes - 1]);
        self::assertLessThan(1.01, (int) $phpInTheEnd / (int) $php, "bytes of PHP's: " . implode(', ', $noted));
        self::assertLessThan(1.05, (int) $residentInTheEnd / (int) $resident, 'KiB that are resident: ' . implode(', ', $noted));
    }

    /** A worker of the queue, as its user runs it, until nothing is left to do. */
    private static function work(Server $server): void
    {
        $process = self::artisan($server, ['queue:work', '--stop-when-empty', '--sleep=0']);
        self::assertSame(0, $process->awaitExit(60.0), $process->output());
        self::assertMatchesRegularExpression('/Processed|DONE/', $process->output());
    }
}
