<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Event;
use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\Server;
use PhpSse\Tests\Support\Deadline;

/** Callbacks through the library's adapters: every render runs the whole application, up to the same adapter. */
final class FrameworkRenderTest extends FrameworkTestCase
{
    /** @dataProvider applications */
    public function testWhatTheCallbackReturnsComesAtFirstAndAfterEachWake(string $name, string $application): void
    {
        $server = $this->serveApplications($name);
        $user = self::user($server, $application);

        $stream = $server->client->openOne(self::path($application, '/render'), $user);
        $server->client->awaitEvents($stream, 1);
        self::change($server, $application, $user, 'paid');
        $server->client->awaitEvents($stream, 2);
        self::change($server, $application, $user, 'sent');
        $server->client->awaitEvents($stream, 3);

        // The user's name is the application's: the render was let in, by session or token, as the first request was.
        self::assertSame([
            ['state', '{"state":"new","user":"alice"}'],
            ['state', '{"state":"paid","user":"alice"}'],
            ['state', '{"state":"sent","user":"alice"}'],
        ], self::namesAndData($stream));
        // The stream, two changes and two renders, the login.
        self::awaitCount($server, "$application: the application has finished", $application === 'slim' ? 5 : 6);
        self::assertNoComplaint($server);
    }

    /** @return iterable<string, array{string, string, string, string}> server, application, path, said in the log */
    public static function handlers(): iterable
    {
        foreach (self::SERVERS as $server) {
            yield "slim on $server" => [$server, 'slim', '/render?open=early', 'slim: the error handler got'];
            yield "symfony on $server" => [$server, 'symfony', '/render', 'Uncaught PHP Exception RuntimeException:'];
            yield "symfony by the listener of 6.1 on $server"
                => [$server, 'symfony', '/render?listener=1', 'Uncaught PHP Exception RuntimeException:'];
            yield "plain on $server" => [$server, 'plain', '/render?open=early', 'plain: the error middleware got'];
            yield "component on $server"
                => [$server, 'plain', '/notifications?open=early', 'plain: the error middleware got'];
        }
    }

    /** @dataProvider handlers */
    public function testAnExceptionInARenderReachesTheFrameworksErrorHandlerAndTheStreamGoesOn(
        string $name,
        string $application,
        string $path,
        string $said,
    ): void {
        $server = $this->serveApplications($name);
        $user = self::user($server, $application);
        $stream = $server->client->openOne(self::path($application, $path), $user);
        $server->client->awaitEvents($stream, 1);

        self::change($server, $application, $user, 'broken');
        self::awaitCount($server, 'the callback failed', 1);
        self::assertMatchesRegularExpression("/$said.*the callback failed/", $server->phpLog());
        self::change($server, $application, $user, 'mended');
        $server->client->awaitEvents($stream, 2);

        self::assertStringContainsString('mended', $stream->data()[1]);
        self::assertFalse($stream->ended);
    }

    /** @dataProvider handlers */
    public function testAnExceptionInTheFirstRunReachesTheFrameworksErrorHandler(
        string $name,
        string $application,
        string $path,
        string $said,
    ): void {
        $server = $this->serveApplications($name);
        $user = self::user($server, $application);
        self::change($server, $application, $user, 'broken');

        $server->client->open(self::path($application, $path), $user);

        // The client is read meanwhile: a server may wait for it.
        Deadline::until(
            static function () use ($server): bool {
                $server->client->read(0.05);

                return str_contains($server->phpLog(), 'the callback failed');
            },
            10.0,
            'the log tells of the exception',
            static fn (): string => $server->phpLog(),
        );
        self::assertMatchesRegularExpression("/$said.*the callback failed/", $server->phpLog());
    }

    /** @dataProvider applications */
    public function testTheStreamEndsWhenTheFrameworkRefusesTheRender(string $name, string $application): void
    {
        $server = $this->serveApplications($name);
        $user = self::user($server, $application);
        $other = self::user($server, $application);
        $stream = $server->client->openOne(self::path($application, '/render'), $user);
        $server->client->awaitEvents($stream, 1);

        if ($application === 'slim') {
            self::change($server, $application, $user, 'closed');
        } else {
            $server->client->request(self::path($application, '/logout'), $user);
            self::change($server, $application, $other, 'secret');
        }
        $server->client->await($stream, static fn (Stream $stream): bool => $stream->ended, 10.0, 'the stream ends');

        self::assertCount(1, $stream->parser->events);
        $server->awaitOpenStreams(0);
    }

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each(self::SERVERS);
    }

    /** @dataProvider servers */
    public function testTheComponentSendsAResultSetAsOneListAfterEachPush(string $name): void
    {
        $server = $this->serveApplications($name);
        $user = self::user($server, 'plain');

        $stream = $server->client->openOne(self::path('plain', '/notifications'), $user);
        $server->client->awaitEvents($stream, 1);
        self::change($server, 'plain', $user, 'paid');
        $server->client->awaitEvents($stream, 2);

        self::assertSame([
            ['new_notification', '[{"id":2,"text":"new"},{"id":1,"text":"welcome"}]'],
            ['new_notification', '[{"id":2,"text":"paid"},{"id":1,"text":"welcome"}]'],
        ], self::namesAndData($stream));
        self::assertSame('plain', $stream->response->headers['x-app']);
        self::assertNoComplaint($server);
    }

    /** @dataProvider servers */
    public function testAStreamObjectPassesTheCallbacksOptionsOn(string $name): void
    {
        $server = $this->serveApplications($name);

        $stream = $server->client->openOne('/frameworks/objects.php?stream=rendered');
        $server->client->awaitEvents($stream, 3);

        // Without a wake, and equal: by poll and only_changes.
        self::assertSame(['count', '0'], self::namesAndData($stream)[2]);
        self::assertNoComplaint($server);
    }

    /** @param array<string, string> $user */
    private static function change(Server $server, string $application, array $user, string $text): void
    {
        self::post($server, self::path($application, '/change'), $user, ['text' => $text]);
    }

    /** @return list<array{string, string}> */
    private static function namesAndData(Stream $stream): array
    {
        return array_map(static fn (Event $event): array => [$event->name, $event->data], $stream->parser->events);
    }

    private static function awaitCount(Server $server, string $text, int $count): void
    {
        Deadline::until(
            static fn (): bool => substr_count($server->phpLog(), $text) >= $count,
            10.0,
            "PHP's log says '$text' $count times",
            static fn (): string => $server->phpLog(),
        );
    }
}
