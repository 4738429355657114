<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Event;
use PhpSse\Tests\Client\Response;
use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Server;
use PhpSse\Tests\Support\Proc;

/** Laravel's broadcasting by `BROADCAST_CONNECTION=sse`: the stream of a page, its channels, presence and whispers. */
final class LaravelBroadcastingTest extends LaravelTestCase
{
    /** @dataProvider servers */
    public function testOneStreamHasEachChannelThatItsUserMayHaveAndTheOthersAreNamed(string $name): void
    {
        $server = $this->serveLaravel($name);
        $ann = self::login($server, 1);

        $stream = self::listen($server, $ann, ['news', 'private-App.User.1', 'private-App.User.2', 'presence-room.closed', 'a b']);
        self::say($server, $ann, ['news'], 'to all');
        self::say($server, $ann, ['private-App.User.2'], 'to bob');
        self::say($server, $ann, ['private-App.User.1', 'news'], 'to ann');
        self::say($server, $ann, ['a b'], 'odd name');

        self::assertSame('private-App.User.2,presence-room.closed', $stream->response->headers['sse-refused']);
        self::assertSame(['to all', 'to ann', 'odd name'], self::texts($server, $stream, 3));
        self::assertSame('App\Events\Said', self::said($stream)[0]->name);
        self::assertNoComplaint($server);
    }

    public function testThePolyfillServesPublicAndPrivateChannels(): void
    {
        $server = $this->serveLaravel('php-s-polyfill');
        $ann = self::login($server, 1);

        $stream = self::listen($server, $ann, ['news', 'private-App.User.1', 'private-App.User.2']);
        self::say($server, $ann, ['news'], 'to all');
        self::say($server, $ann, ['private-App.User.2'], 'to bob');
        self::say($server, $ann, ['news', 'private-App.User.1'], 'once by both');
        self::say($server, $ann, ['private-App.User.1'], 'to ann');

        self::assertSame('private-App.User.2', $stream->response->headers['sse-refused']);
        self::assertSame(['to all', 'once by both', 'to ann'], self::texts($server, $stream, 3));
        $presence = self::ask($server, $ann, 'stream', ['channels' => ['presence-room.1']]);
        $members = self::ask($server, $ann, 'members', ['channel' => 'presence-room.1']);
        foreach ([$presence, $members] as $answer) {
            self::assertSame(501, $answer->status, $answer->summary());
            self::assertStringContainsString('needs the extension sse', $answer->body);
        }
    }

    /** Web servers refuse a response whose headers are long. */
    public function testTheHeaderOfRefusedChannelsSaysThatThereAreMoreThanItHasRoomFor(): void
    {
        $server = $this->serveLaravel('nginx-fpm-unix');
        $ann = self::login($server, 1);
        $many = array_map(static fn (int $id): string => "private-none.with-a-long-name-$id", range(1, 50));

        $stream = self::listen($server, $ann, ['news', ...$many]);

        $header = $stream->response->headers['sse-refused'];
        self::assertStringStartsWith('private-none.with-a-long-name-1,private-none.with-a-long-name-2,', $header);
        self::assertStringEndsWith(',*', $header);
        self::assertLessThanOrEqual(1026, strlen($header));
        self::assertSame('*', self::listen($server, $ann, ['news', str_repeat('x', 1025)])->response->headers['sse-refused']);
    }

    public function testAllChannelsRefusedIs403AndAskingForNoneOrTooManyIs422(): void
    {
        $server = $this->serveLaravel('nginx-fpm-unix');
        $ann = self::login($server, 1);

        $refused = self::ask($server, $ann, 'stream', ['channels' => ['private-App.User.2', 'private-no.such']]);
        $expected = [
            ['channel' => 'private-App.User.2', 'reason' => 'forbidden'],
            ['channel' => 'private-no.such', 'reason' => 'forbidden'],
        ];
        self::assertSame(403, $refused->status, $refused->summary());
        self::assertSame(['channels' => [], 'refused' => $expected], json_decode($refused->body, true));

        self::assertSame(422, self::ask($server, $ann, 'stream', [])->status);
        self::assertSame(422, self::ask($server, $ann, 'stream', ['channels' => array_map(strval(...), range(1, 101))])->status);
        self::assertSame(422, self::ask($server, $ann, 'stream', ['channels' => [['news']]])->status);
        self::assertSame(422, self::ask($server, $ann, 'stream', ['channels' => 'news'])->status);
        self::assertSame(0, $server->openStreams());
    }

    /** Attack: a guest asks for guarded channels, by their names and by their topics. */
    public function testAGuestHasPublicChannelsOnly(): void
    {
        $server = $this->serveLaravel('nginx-fpm-unix');

        $answer = self::ask($server, [], 'channels', ['channels' => ['news', 'private-App.User.1', 'presence-room.1']]);
        $topics = self::ask($server, [], 'stream', ['topics' => 'chat.private-App.User.1.*,chat.presence-room.1']);

        self::assertSame(['news'], array_column(json_decode($answer->body, true)['channels'], 'channel'));
        self::assertSame(403, $topics->status, $topics->summary());
    }

    /** Attack: wildcards, the hub's own topics, another application's, and names that would end a segment or a line. */
    public function testANameOfAClientIsNeverAPattern(): void
    {
        $server = $this->serveLaravel('nginx-fpm-unix');
        $ann = self::login($server, 1);
        foreach (['**', 'chat.*', 'chat.**', '$presence.chat.room', 'other.news.*', 'chat.news', 'chat.news.event', 'chat..*'] as $topic) {
            self::assertSame(422, self::ask($server, $ann, 'stream', ['topics' => $topic])->status, $topic);
        }
        $hostile = ['*', '**', '$presence.x', 'a..b', '.', "a\r\nb: c", str_repeat('x', 245), "\xff", 'private-encrypted-x', ''];

        $answer = json_decode(self::ask($server, $ann, 'channels', ['channels' => $hostile])->body, true);

        self::assertSame(
            ['chat.%2A.*', 'chat.%2A%2A.*', 'chat.%24presence.x.*', 'chat.a.%2Eb.*', 'chat.%2E.*', 'chat.a%0D%0Ab%3A%20c.*'],
            array_column($answer['channels'], 'topic'),
        );
        self::assertSame(['name', 'name', 'forbidden', 'name'], array_column($answer['refused'], 'reason'));
        $stream = self::listen($server, $ann, ['*', '**', 'a..b']);
        self::say($server, $ann, ['news'], 'not for this stream');
        self::say($server, $ann, ['a..b'], 'for it');
        self::assertSame(['for it'], self::texts($server, $stream, 1));
    }

    /** @dataProvider servers */
    public function testToOthersReachesEverybodyButTheStreamOfTheSender(string $name): void
    {
        $server = $this->serveLaravel($name);
        [$ann, $bob] = [self::login($server, 1), self::login($server, 2)];
        $own = self::listen($server, $ann, ['presence-room.1']);
        $other = self::listen($server, $bob, ['presence-room.1']);

        self::say($server, $ann + ['X-Socket-ID' => self::socketId($own)], ['presence-room.1'], 'to bob', others: true);
        self::say($server, $ann + ['X-Socket-ID' => '1234.5678'], ['presence-room.1'], 'to both', others: true);
        $page = '.0123456789abcdef';
        self::say($server, $ann + ['X-Socket-ID' => self::socketId($own) . $page], ['presence-room.1'], 'of a page', others: true);
        self::say($server, $ann + ['X-Socket-ID' => $page], ['presence-room.1'], 'of a tab', others: true);

        self::assertSame(['to bob', 'to both', 'of a page', 'of a tab'], self::texts($server, $other, 4));
        self::assertSame(['to both', 'of a tab'], self::texts($server, $own, 2));
        $answer = self::ask($server, $ann + ['X-Socket-ID' => $page], 'channels', ['channels' => ['news']]);
        $mark = json_decode($answer->body, true)['socket'];
        // Others get it, and must not be able to say it themselves.
        self::assertStringNotContainsString($mark, $page);
        self::assertSame([null, null, $mark, $mark], array_map(
            static fn (Event $event): ?string => json_decode($event->data, true)['socket'] ?? null,
            self::said($other),
        ));
    }

    /** @dataProvider servers */
    public function testAPresenceChannelTellsWhoIsThereAndAPublicOneNobody(string $name): void
    {
        $server = $this->serveLaravel($name, ['sse.presence_grace' => 200]);
        [$ann, $bob] = [self::login($server, 1), self::login($server, 2)];
        $first = self::listen($server, $ann, ['presence-room.1', 'news', 'private-App.User.1']);
        self::assertSame(['presence.list Ann'], self::presence($server, $first, 1));

        $second = self::listen($server, $bob, ['news', 'presence-room.1']);
        self::assertSame(['presence.list Ann Bob'], self::presence($server, $second, 1));
        self::assertSame('presence.join Bob', self::presence($server, $first, 2)[1]);
        $members = json_decode(self::ask($server, $ann, 'members', ['channel' => 'presence-room.1'])->body, true);
        self::assertSame([2, ['1', '2']], [$members['count'], array_column($members['members'], 'id')]);
        self::assertSame(403, self::ask($server, [], 'members', ['channel' => 'presence-room.1'])->status);
        self::assertSame(403, self::ask($server, $ann, 'members', ['channel' => 'news'])->status);
        foreach (["\xff", str_repeat('x', 256)] as $after) {
            $query = ['channel' => 'presence-room.1', 'after' => $after];
            self::assertSame(422, self::ask($server, $ann, 'members', $query)->status);
        }
        $second->close();

        self::assertSame('presence.leave Bob', self::presence($server, $first, 3)[2]);
        self::assertSame(1, $server->stats()['presence']['topics']);
    }

    public function testAPresenceChannelThatSaysSomethingElseOfAUserIsForAStreamOfItsOwn(): void
    {
        $server = $this->serveLaravel('nginx-fpm-unix');

        $answer = self::ask($server, self::login($server, 1), 'channels', ['channels' => ['presence-room.1', 'presence-room.staff']]);

        $answer = json_decode($answer->body, true);
        self::assertSame(['id' => '1', 'info' => ['name' => 'Ann']], $answer['channels'][0]['member']);
        self::assertSame([['channel' => 'presence-room.staff', 'reason' => 'presence']], $answer['refused']);
    }

    /** For PHP's `==` these are the same number: one room would be told the name of the other. */
    public function testWhatTwoPresenceChannelsSayIsComparedAsItIsTold(): void
    {
        $server = $this->serveLaravel('nginx-fpm-unix');
        $channels = ['presence-room.ten', 'presence-room.exponent'];
        $answer = json_decode(self::ask($server, self::login($server, 1), 'channels', ['channels' => $channels])->body, true);

        self::assertSame([['channel' => 'presence-room.exponent', 'reason' => 'presence']], $answer['refused']);
    }

    /** @dataProvider servers */
    public function testAWhisperReachesTheOthersOfAChannelThatTheSenderMayJoin(string $name): void
    {
        $server = $this->serveLaravel($name);
        [$ann, $bob] = [self::login($server, 1), self::login($server, 2)];
        $own = self::listen($server, $ann, ['presence-room.1', 'private-App.User.1']);
        $other = self::listen($server, $bob, ['presence-room.1', 'news']);
        $socket = ['X-Socket-ID' => self::socketId($own)];

        $whisper = ['channel' => 'presence-room.1', 'event' => 'client-typing', 'data' => ['name' => 'Ann']];
        self::assertSame(204, self::whisper($server, $ann + $socket, $whisper)->status);
        self::say($server, $ann, ['presence-room.1'], 'then this');

        self::assertSame(['then this'], self::texts($server, $own, 1));
        self::assertSame(['then this'], self::texts($server, $other, 1));
        $typed = array_values(array_filter($other->parser->events, static fn (Event $event): bool => $event->name === 'client-typing'));
        self::assertSame(['{"name":"Ann"}'], array_column($typed, 'data'));
        self::assertSame([], array_filter($own->parser->events, static fn (Event $event): bool => $event->name === 'client-typing'));
    }

    /** Attack: a client speaks where it may not, as the server, without end, or without its page's token. */
    public function testAWhisperIsRefusedOnOtherChannelsUnderOtherNamesAndAboveTheLimits(): void
    {
        $server = $this->serveLaravel('nginx-fpm-unix');
        $ann = self::login($server, 1);
        $good = ['channel' => 'presence-room.1', 'event' => 'client-typing', 'data' => null];
        $refused = static fn (array $fields): int => self::whisper($server, $ann, $fields + $good)->status;

        self::assertSame(403, $refused(['channel' => 'news']));
        self::assertSame(403, $refused(['channel' => 'private-App.User.2']));
        self::assertSame(403, $refused(['channel' => 'presence-room.closed']));
        self::assertSame(403, $refused(['channel' => ['presence-room.1']]));
        self::assertSame(422, $refused(['event' => 'App\Events\Said']));
        self::assertSame(422, $refused(['event' => "client-a\ndata: b"]));
        self::assertSame(422, $refused(['event' => 'client-' . str_repeat('x', 194)]));
        self::assertSame(413, $refused(['data' => str_repeat('x', 10_239)]));
        self::assertSame(419, self::whisper($server, ['Cookie' => $ann['Cookie']], $good)->status);
        self::assertSame(419, self::whisper($server, [], $good)->status);
        self::assertSame(0, $server->stats()['published']);
        self::assertSame(204, $refused([]));
        $statuses = array_map(static fn (): int => $refused([]), range(1, 300));
        self::assertSame(429, end($statuses));
    }

    public function testWhileTheHubDoesNotAnswerWhatAsksItIsUnavailable(): void
    {
        $server = $this->serveLaravel('nginx-fpm-unix', ['sse.timeout' => 1000]);
        $ann = self::login($server, 1);
        $stream = self::listen($server, $ann, ['news']);
        $whisper = ['channel' => 'presence-room.1', 'event' => 'client-typing', 'data' => null];

        $answers = Proc::whileStopped($server->hub(), static fn (): array => [
            self::change($server, $ann, $stream, ['add' => 'chat.private-App.User.1.*']),
            self::ask($server, $ann, 'members', ['channel' => 'presence-room.1']),
            self::whisper($server, $ann, $whisper),
        ]);

        foreach ($answers as $answer) {
            self::assertSame([503, '1'], [$answer->status, $answer->headers['retry-after'] ?? ''], $answer->summary());
            self::assertStringContainsString('Not available at the moment', $answer->body, 'why is for the log only');
        }
        self::assertSame(200, self::change($server, $ann, $stream, ['add' => 'chat.private-App.User.1.*'])->status);
    }

    /** The stream's request is no page: what was flashed is for the next page, and back() leads to the one before. */
    public function testTheSessionIsAsIfTheStreamHadNotBeenAskedFor(): void
    {
        $server = $this->serveLaravel('nginx-fpm-unix');
        $ann = self::login($server, 1);
        self::assertSame('flashed', $server->client->request(self::path('broadcasting', '/flash'), $ann)->body);
        self::listen($server, $ann, ['news']);
        self::ask($server, $ann, 'channels', ['channels' => ['news']]);

        $page = $server->client->request(self::path('broadcasting', '/page'), $ann)->body;

        self::assertStringStartsWith('saved ', $page);
        self::assertStringEndsWith('/flash', $page);
    }

    /** A redirect would be asked for again and again by a client, and the login would lead to the stream. */
    public function testWhoHasToBeLoggedInIsToldSoAndNotSentToTheLogin(): void
    {
        $server = $this->serveLaravel('nginx-fpm-unix');
        $code = "<?php return ['middleware' => ['web', Illuminate\\Auth\\Middleware\\Authenticate::class]];";
        $server->folder->file('app/frameworks/broadcasting/config/sse.php', $code);
        $guest = ['Accept' => 'text/event-stream'];

        $answer = self::ask($server, $guest, 'stream', ['channels' => ['news']]);

        self::assertSame(401, $answer->status, $answer->summary());
        self::assertSame('application/json', $answer->headers['content-type']);
        self::assertSame('private-App.User.2', self::listen($server, $guest + self::login($server, 1), ['news', 'private-App.User.2'])
            ->response->headers['sse-refused']);
    }

    /** @param array<string, string> $user */
    private static function whisper(Server $server, array $user, array $fields): Response
    {
        return $server->client->request(
            self::path('broadcasting', '/sse/whisper'),
            $user + ['Content-Type' => 'application/json', 'Accept' => 'application/json'],
            'POST',
            json_encode($fields, JSON_THROW_ON_ERROR),
        );
    }

    /** @return list<string> type and names of so many events of presence */
    private static function presence(Server $server, Stream $stream, int $count): array
    {
        $told = static fn (): array => array_values(array_filter(
            $stream->parser->events,
            static fn (Event $event): bool => str_starts_with($event->name, 'presence.'),
        ));
        $server->client->await($stream, static fn (): bool => count($told()) >= $count, 20.0, "so much is told of presence: $count");

        return array_map(static function (Event $event): string {
            $data = json_decode($event->data, true, 512, JSON_THROW_ON_ERROR);
            self::assertSame('chat.presence-room.1', $data['topic']);

            return "$event->name " . implode(' ', array_column(array_column($data['members'], 'info'), 'name'));
        }, $told());
    }
}
