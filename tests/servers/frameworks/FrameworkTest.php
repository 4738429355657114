<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Support\Deadline;

/** Streams that frameworks open through the library's adapters: middlewares, headers, sessions and errors hold. */
final class FrameworkTest extends FrameworkTestCase
{
    /** @return iterable<string, array{string, string, string}> server, application, query */
    public static function ways(): iterable
    {
        foreach (self::SERVERS as $server) {
            yield "slim, by its emitter, on $server" => [$server, 'slim', ''];
            yield "slim, early, on $server" => [$server, 'slim', '?open=early'];
            yield "symfony, when it is sent, on $server" => [$server, 'symfony', ''];
            yield "symfony, by the listener of 6.1, on $server" => [$server, 'symfony', '?listener=1'];
            yield "plain, by its emitter, on $server" => [$server, 'plain', ''];
            yield "plain, early, on $server" => [$server, 'plain', '?open=early'];
        }
    }

    /** @dataProvider ways */
    public function testTheStreamGetsWhatTheApplicationPublishes(string $name, string $application, string $query): void
    {
        $server = $this->serveApplications($name);
        $user = self::user($server, $application);

        $stream = $server->client->openOne(self::path($application, "/stream$query"), $user);
        $server->awaitLog("$application: the application has finished");
        $path = self::path($application, '/publish');
        $first = self::post($server, $path, $user, ['topic' => 'users.alice', 'data' => 'for alice'])->body;
        self::post($server, $path, $user, ['topic' => 'users.bob', 'data' => 'for bob']);
        $second = self::post($server, $path, $user, ['topic' => 'news', 'data' => 'for all'])->body;

        $server->client->awaitEvents($stream, 2);
        self::assertSame(
            "retry: 700\n\nid: $first\ndata: for alice\n\nid: $second\ndata: for all\n\n",
            self::withoutCursor($stream->response->body),
        );
        self::assertFalse($stream->ended);
    }

    /** @dataProvider ways */
    public function testHeadersAndCookiesOfMiddlewaresGoOutWithIt(
        string $name,
        string $application,
        string $query,
    ): void {
        $server = $this->serveApplications($name);
        $user = self::user($server, $application);

        $stream = $server->client->openOne(self::path($application, "/stream$query"), $user);

        $headers = $stream->response->headers;
        self::assertSame('text/event-stream', explode(';', $headers['content-type'])[0]);
        self::assertSame('no-cache, no-transform', $headers['cache-control']);
        self::assertSame($application, $headers['x-app']);
        self::assertMatchesRegularExpression('/seen=1.*theme=dark/', $headers['set-cookie']);
        self::assertArrayNotHasKey('content-length', $headers);
    }

    /** @dataProvider ways */
    public function testTheApplicationRunsToItsEndWithoutComplaint(
        string $name,
        string $application,
        string $query,
    ): void {
        $server = $this->serveApplications($name);
        $user = self::user($server, $application);

        $stream = $server->client->openOne(self::path($application, "/stream$query"), $user);

        $server->awaitLog("$application: the application has finished");
        $server->awaitLog($application === 'symfony' ? 'symfony: terminated' : "$application: the after-middleware");
        self::assertNoComplaint($server);
        // The worker is free, and the next response is its own.
        $hello = $server->client->request(self::path($application, '/hello'));
        self::assertSame("hello from $application", $hello->body);
        self::assertSame("retry: 700\n\n", self::withoutCursor($stream->response->body));
        self::assertSame(1, $server->openStreams());
    }

    /** @return iterable<string, array{string}> */
    public static function names(): iterable
    {
        return Catalogue::each(self::APPLICATIONS);
    }

    /** @dataProvider names */
    public function testWhereTheWorkerServesTheStreamTheApplicationEndsWithIt(string $application): void
    {
        $server = $this->serveApplications('nginx-fpm-blocking');
        $user = self::user($server, $application);
        $logins = $application === 'slim' ? 0 : 1;
        $finished = static fn (): int => substr_count($server->phpLog(), 'the application has finished');
        $seen = static fn (): string => $server->phpLog();
        Deadline::until(static fn (): bool => $finished() === $logins, 10.0, 'the login has finished', $seen);
        $stream = $server->client->openOne(self::path($application, '/stream'), $user);
        $server->publish('news', 'event');
        self::assertSame(['event'], $server->client->awaitEvents($stream, 1));
        self::assertSame($logins, $finished());

        $stream->close();

        Deadline::until(static fn (): bool => $finished() === $logins + 1, 10.0, 'the stream has finished', $seen);
        self::assertSame($application, $stream->response->headers['x-app']);
        self::assertNoComplaint($server);
    }

    /** @dataProvider applications */
    public function testAStrangerGetsTheFrameworksRefusal(string $name, string $application): void
    {
        $server = $this->serveApplications($name);

        $response = $server->client->request(self::path($application, '/stream'));

        self::assertSame($application === 'slim' ? 401 : 403, $response->status);
        self::assertStringContainsString($application === 'symfony' ? '{"handled":' : '{"refused":', $response->body);
        self::assertSame($application, $response->headers['x-app']);
        self::assertSame(0, $server->openStreams());
    }

    /** @dataProvider applications */
    public function testAHeadRequestGetsTheHeadersOnly(string $name, string $application): void
    {
        $server = $this->serveApplications($name);
        $user = self::user($server, $application);

        $exchange = $server->client->open(self::path($application, '/stream'), $user, 'HEAD');
        $server->client->await(
            $exchange,
            static fn (): bool => $exchange->ended || $exchange->response->head !== null,
            10.0,
            'HEAD is answered',
        );

        self::assertSame(200, $exchange->response->status);
        self::assertSame('text/event-stream', explode(';', $exchange->response->headers['content-type'])[0]);
        self::assertSame($application, $exchange->response->headers['x-app']);
        self::assertSame(0, $server->openStreams());
        self::assertNoComplaint($server);
    }

    /** @return iterable<string, array{string, string}> */
    public static function applicationsWithSessions(): iterable
    {
        foreach (self::SERVERS as $server) {
            yield "symfony on $server" => [$server, 'symfony'];
            yield "plain on $server" => [$server, 'plain'];
        }
    }

    /** @dataProvider applicationsWithSessions */
    public function testTheSessionIsSavedAndFree(string $name, string $application): void
    {
        $server = $this->serveApplications($name);
        $user = self::user($server, $application);
        $stream = $server->client->openOne(self::path($application, '/stream'), $user);

        $response = $server->client->request(self::path($application, '/visits'), $user);

        self::assertSame(2, json_decode($response->body, true)['visits'] ?? null, $response->summary());
        self::assertTrue($stream->isOpen(), $stream->summary());
    }

    /** @return iterable<string, array{string, string, string, string}> server, application, query, what its log says */
    public static function handlers(): iterable
    {
        foreach (self::SERVERS as $server) {
            yield "slim on $server" => [$server, 'slim', '?open=early', 'slim: the error handler got'];
            yield "symfony on $server" => [$server, 'symfony', '', 'Uncaught PHP Exception SseUnavailable'];
            $listener = ['symfony', '?listener=1', 'Uncaught PHP Exception SseUnavailable'];
            yield "symfony by the listener of 6.1 on $server" => [$server, ...$listener];
            yield "plain on $server" => [$server, 'plain', '?open=early', 'plain: the error middleware got'];
        }
    }

    /**
     * Without a hub sse_stream() throws: the client gets the framework's own error page.
     *
     * @dataProvider handlers
     */
    public function testAnExceptionReachesTheFrameworksErrorHandler(
        string $name,
        string $application,
        string $query,
        string $said,
    ): void {
        $server = $this->serveApplications($name, ['sse.spawn' => 'off']);
        $user = self::user($server, $application);

        $response = $server->client->request(self::path($application, "/stream$query"), $user);

        self::assertSame(500, $response->status, $response->summary());
        self::assertSame('{"handled":"SseUnavailable"}', $response->body);
        self::assertStringNotContainsString('event-stream', $response->headers['content-type'] ?? '');
        $server->awaitLog($said);
    }

    /** @return iterable<string, array{string, string}> */
    public static function emitters(): iterable
    {
        foreach (self::SERVERS as $server) {
            yield "slim on $server" => [$server, 'slim'];
            yield "plain on $server" => [$server, 'plain'];
        }
    }

    /**
     * What leaves an emitter is PHP's to handle: status 500, and a line in the log.
     *
     * @dataProvider emitters
     */
    public function testAnExceptionOutOfTheEmitterIsLoggedAndAnswered500(string $name, string $application): void
    {
        $server = $this->serveApplications($name, ['sse.spawn' => 'off']);
        $user = self::user($server, $application);

        $response = $server->client->request(self::path($application, '/stream'), $user);

        self::assertSame(500, $response->status, $response->summary());
        $server->awaitLog('PHP Fatal error:  Uncaught SseUnavailable');
    }

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each(self::SERVERS);
    }

    /** @dataProvider servers */
    public function testAStreamObjectOpensWhatItWasTold(string $name): void
    {
        $server = $this->serveApplications($name);

        $stream = $server->client->openOne('/frameworks/objects.php?stream=base');

        self::assertSame('retry: 500', trim(self::withoutCursor($stream->response->body)));
        self::assertSame('1', $stream->response->headers['x-a']);
        self::assertArrayNotHasKey('x-b', $stream->response->headers);
        self::assertNoComplaint($server);
    }

    /** @dataProvider servers */
    public function testAStreamObjectLeavesTheOneItCameFromAlone(string $name): void
    {
        $server = $this->serveApplications($name);

        $stream = $server->client->openOne('/frameworks/objects.php?stream=derived');

        self::assertSame('retry: 900', trim(self::withoutCursor($stream->response->body)));
        self::assertSame('1', $stream->response->headers['x-a']);
        self::assertSame('2', $stream->response->headers['x-b']);
        $server->client->await(
            $stream,
            static fn (Stream $stream): bool => $stream->parser->comments > 0,
            10.0,
            'the heartbeat of one second comes',
        );
    }

    /** @dataProvider servers */
    public function testAnOptionThatDoesNotExistIsRefused(string $name): void
    {
        $server = $this->serveApplications($name);

        $response = $server->client->request('/frameworks/objects.php?stream=wrong');

        self::assertMatchesRegularExpression('/^SseInvalidArgument: .*no_such_option/', $response->body);
    }
}
