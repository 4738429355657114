<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Response;
use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Support\Deadline;

/** What a Laravel application is asked about an open stream, and how the stream changes. */
final class LaravelPermissionTest extends LaravelTestCase
{
    public function testTheUserWhoHasLoggedOutLosesTheStreamAtTheNextQuestion(): void
    {
        $server = $this->serveLaravel('nginx-fpm-unix', environment: "SSE_REAUTHORIZE=1\n");
        $ann = self::login($server, 1);
        $stream = self::listen($server, $ann, ['private-App.User.1']);

        $server->client->request(self::path('broadcasting', '/logout'), $ann);

        $server->client->await($stream, static fn (Stream $stream): bool => $stream->ended, 20.0, 'the stream ends');
        self::assertSame(403, self::ask($server, $ann, 'stream', ['channels' => ['private-App.User.1']])->status);
    }

    public function testTheUserWhoHasLoggedOutKeepsThePublicChannelsOnly(): void
    {
        $server = $this->serveLaravel('nginx-fpm-unix', environment: "SSE_REAUTHORIZE=1\n");
        $ann = self::login($server, 1);
        $stream = self::listen($server, $ann, ['private-App.User.1', 'news']);
        self::say($server, $ann, ['private-App.User.1'], 'before');
        self::assertSame(['before'], self::texts($server, $stream, 1));

        $server->client->request(self::path('broadcasting', '/logout'), $ann);
        $server->client->await($stream, static fn (Stream $stream): bool => $stream->ended, 20.0, 'the stream ends');
        $again = self::listen($server, $ann, ['private-App.User.1', 'news']);
        $bob = self::login($server, 2);
        self::say($server, $bob, ['private-App.User.1'], 'of ann');
        self::say($server, $bob, ['news'], 'after');

        self::assertSame('private-App.User.1', $again->response->headers['sse-refused']);
        self::assertSame(['after'], self::texts($server, $again, 1));
    }

    /**
     * Attack: a channel that the stream's own request names and is refused is added while it is allowed, for some seconds; the
     * answers about the request's own channels never change, so the hub keeps what was added.
     */
    public function testAChannelThatWasRefusedAtFirstIsAskedAboutAgainOnceItIsAdded(): void
    {
        $server = $this->serveLaravel('nginx-fpm-unix', environment: "SSE_REAUTHORIZE=1\n");
        $ann = self::login($server, 1);
        $stream = self::listen($server, $ann, ['news', 'private-moment.1']);
        self::assertSame('private-moment.1', $stream->response->headers['sse-refused']);

        $added = self::change($server, $ann, $stream, ['add' => 'chat.private-moment.1.*']);

        self::assertSame(200, $added->status, $added->summary());
        $server->client->await($stream, static fn (Stream $stream): bool => $stream->ended, 20.0, 'the stream ends');
        self::assertSame(0, $server->openStreams());
    }

    /** Attack: a stream of few channels gets more and more, each of which costs a query in every question. */
    public function testAStreamThatIsChangedHasNoMoreChannelsThanOneRequestMayAskFor(): void
    {
        $server = $this->serveLaravel('nginx-fpm-unix', environment: "SSE_REAUTHORIZE=1\n");
        $server->folder->file('app/frameworks/broadcasting/config/sse.php', "<?php\n\nreturn ['max_channels' => 3];\n");
        [$ann, $bob] = [self::login($server, 1), self::login($server, 2)];
        $stream = self::listen($server, $ann, ['news', 'a']);
        $status = static fn (array $user, array $fields): int => self::change($server, $user, $stream, $fields)->status;

        self::assertSame(200, $status($ann, ['add' => 'chat.b.*']));
        self::assertSame(422, $status($ann, ['add' => 'chat.c.*']));
        self::assertSame(422, $status($ann, ['add' => 'chat.c.*,chat.d.*', 'remove' => 'chat.news.*']));
        self::assertSame(409, $status($bob, ['add' => 'chat.c.*']));
        self::assertSame(200, $status($ann, ['add' => 'chat.b.*,chat.a.*']));
        self::assertFalse($stream->ended);

        // It has three, but the first request's are asked about as well.
        self::assertSame(200, $status($ann, ['add' => 'chat.c.*', 'remove' => 'chat.news.*']));
        $server->client->await($stream, static fn (Stream $stream): bool => $stream->ended, 20.0, 'the stream ends');
        self::assertTrue(self::listen($server, $ann, ['a', 'b', 'c'])->isOpen());
    }

    /** Otherwise the hub would watch what the request names, and no longer what has been added. */
    public function testAStreamThatHasBeenChangedBeginsAnewWhenAnswersChangeAndOnlyThen(): void
    {
        $server = $this->serveLaravel('nginx-fpm-unix', environment: "SSE_REAUTHORIZE=1\n");
        $ann = self::login($server, 1);
        $ended = static fn (Stream $stream): bool => $stream->ended;
        $team = 'log/broadcasting/team-7';
        $all = ['news', 'sport', 'private-team.7'];
        $asked = static fn (): int => $server->stats()['renders']['done'];

        // Refused at first, allowed later.
        $stream = self::listen($server, $ann, $all);
        self::assertSame('private-team.7', $stream->response->headers['sse-refused']);
        $changed = self::change($server, $ann, $stream, ['add' => 'chat.more.*', 'remove' => 'chat.sport.*']);
        self::assertSame(200, $changed->status, $changed->summary());
        $before = $asked();
        Deadline::until(static fn (): bool => $asked() >= $before + 2, 20.0, 'it is asked about twice');
        foreach (['sport', 'more', 'news'] as $channel) {
            self::say($server, $ann, [$channel], $channel);
        }
        self::assertSame(['more', 'news'], self::texts($server, $stream, 2));
        $server->folder->file($team, '');
        $server->client->await($stream, $ended, 20.0, 'the stream of which more is allowed ends');

        // Allowed at first, left by the client, then refused.
        $stream = self::listen($server, $ann, $all);
        self::assertArrayNotHasKey('sse-refused', $stream->response->headers);
        $changed = self::change($server, $ann, $stream, ['add' => 'chat.more.*', 'remove' => 'chat.private-team.7.*']);
        self::assertSame(200, $changed->status, $changed->summary());
        $before = $asked();
        Deadline::until(static fn (): bool => $asked() >= $before + 2, 20.0, 'it is asked about twice');
        self::assertFalse($stream->ended);
        unlink("{$server->folder->path}/$team");
        $server->client->await($stream, $ended, 20.0, 'the stream of which less is allowed ends');
    }

    /** Attack: a client changes the stream of somebody else, takes what it may not have, or names what is no channel's topic. */
    public function testOnlyItsUserChangesAStreamAndOnlyToChannelsThatTheyMayHave(): void
    {
        $server = $this->serveLaravel('nginx-fpm-unix', environment: "SSE_REAUTHORIZE=1\n");
        [$ann, $bob] = [self::login($server, 1), self::login($server, 2)];
        $stream = self::listen($server, $ann, ['news']);
        $change = static fn (array $user, array $fields): Response => self::change($server, $user, $stream, $fields);

        self::assertSame(403, $change($ann, ['add' => 'chat.private-App.User.2.*'])->status);
        self::assertSame(409, $change($bob, ['add' => 'chat.private-App.User.2.*'])->status);
        self::assertSame(409, $change($bob, ['remove' => 'chat.news.*'])->status);
        self::assertSame(409, $change($ann, ['add' => 'chat.presence-room.1'])->status);
        self::assertSame(409, $change($ann, ['add' => 'chat.news.*', 'stream' => str_repeat('x', 22)])->status);
        self::assertSame(419, $change(['Cookie' => $ann['Cookie']], ['add' => 'chat.news.*'])->status);
        $tooMany = implode(',', array_fill(0, 101, 'chat.a.*'));
        foreach (['**', 'chat.**', 'other.news.*', '$presence.chat.presence-room.1', $tooMany] as $add) {
            self::assertSame(422, $change($ann, ['add' => $add])->status, $add);
        }
        self::assertSame(1, $server->stats()['topics']);

        $changed = $change($ann, ['add' => 'chat.private-App.User.1.*']);
        self::assertSame(200, $changed->status, $changed->summary());
        self::say($server, $bob, ['private-App.User.1'], 'to ann');
        self::assertSame(['to ann'], self::texts($server, $stream, 1));
        self::assertMatchesRegularExpression('/^\d+-\d+$/', json_decode($changed->body, true)['cursor']);

        // Asked again, the application is asked about what was added, too.
        $server->client->request(self::path('broadcasting', '/logout'), $ann);
        $server->client->await($stream, static fn (Stream $stream): bool => $stream->ended, 20.0, 'the stream ends');
    }
}
