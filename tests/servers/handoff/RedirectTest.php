<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\FpmServer;
use PhpSse\Tests\Support\Deadline;
use PhpSse\Tests\Support\Proc;

/** Streams that the web server fetches from the hub, by a header of PHP's response. */
final class RedirectTest extends ServerTestCase
{
    private const STREAMS = 40;

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each(Catalogue::REDIRECT);
    }

    /** @dataProvider servers */
    public function testTheBrowserGetsTheScriptsHeadersAndNotTheRedirects(string $name): void
    {
        $server = $this->serve($name);

        $stream = $server->client->openOne('/stream.php?topics=news&before=header,session,buffers,other-body&after=echo,flush');

        $server->publish('news', 'hello');
        self::assertSame(['hello'], $server->client->awaitEvents($stream, 1));
        self::assertSame(200, $stream->response->status);
        $head = (string) $stream->response->head;
        $named = static fn (string $header): int => (int) preg_match_all("/^$header:/mi", $head);
        $counts = array_map($named, ['Content-Type', 'Cache-Control', 'Set-Cookie', 'X-Page', 'X-Accel-Redirect', 'X-Sendfile']);
        self::assertSame([1, 1, 1, 1, 0, 0], $counts, $head);
        self::assertMatchesRegularExpression('~^Content-Type: text/event-stream; charset=utf-8~mi', $head);
        self::assertStringNotContainsString('output', $stream->response->body);
        $server->awaitLog('the script has ended');
        self::assertStringContainsString('sse_stream returned true', $server->phpLog());
    }

    /** @dataProvider servers */
    public function testStreamsHoldNoWorkerAndOutliveFpmsReloadAndTheHubsUpgrade(string $name): void
    {
        $server = $this->serve($name);
        self::assertInstanceOf(FpmServer::class, $server);
        $streams = $server->client->openMany(self::STREAMS, '/stream.php?topics=news');
        $rendered = $server->client->openOne('/replay/page.php?topics=news&callback=events');

        $server->publish('news', 'one');
        $server->reloadFpm();
        $server->publish('news', 'two');
        self::assertNull($server->json('/upgrade.php')['error'] ?? null);
        $server->publish('news', 'three');

        foreach ($streams as $stream) {
            self::assertSame(['one', 'two', 'three'], $server->client->awaitEvents($stream, 3));
        }
        $told = static fn (Stream $stream): array => array_column(
            array_merge(...array_map(static fn (string $data): array => json_decode($data, true), $stream->data())),
            'data',
        );
        $server->client->await($rendered, static fn (Stream $stream): bool => count($told($stream)) >= 3, 20.0, 'all is told');
        self::assertSame(['one', 'two', 'three'], $told($rendered));
        $stats = $server->stats();
        self::assertSame(
            ['issued' => self::STREAMS + 1, 'followed' => self::STREAMS + 1],
            array_filter($stats['redirects']),
        );
    }

    public function testAClientThatComesBackGetsWhatItHasMissedFromTheNextHub(): void
    {
        $server = $this->serve('nginx-fpm-redirect');
        $stream = $server->client->openOne('/stream.php?topics=news');
        [$id] = $server->publish('news', 'seen');
        $server->client->awaitEvents($stream, 1);

        $hub = $server->hub();
        posix_kill($hub, SIGKILL);
        $server->client->await($stream, static fn (Stream $stream): bool => $stream->ended, 20.0, 'the stream has ended');
        // A hub that is being killed may still accept connections.
        Deadline::until(static fn (): bool => !Proc::isAlive($hub), 20.0, 'the hub has ended');
        $server->publish('news', 'missed');

        $again = $server->client->openOne('/stream.php?topics=news', ['Last-Event-ID' => $id]);
        // The next hub's history begins with it.
        self::assertSame('missed', $server->client->awaitEvents($again, 2)[1]);
        $again->close();
        $server->awaitOpenStreams(0);
    }

    /** Attack: a client asks for the hub's location itself, and a page redirects to a ticket that is none. */
    public function testNoClientGetsToTheHubByItself(): void
    {
        $server = $this->serve('nginx-fpm-redirect');
        $server->client->openOne('/stream.php?topics=news')->close();

        self::assertSame(404, $server->client->request('/.sse/health')->status);
        self::assertSame(404, $server->client->request('/.sse/' . str_repeat('A', 32))->status);
        self::assertSame(0, $server->stats()['redirects']['unknown'], 'the hub was not asked');
        // A browser goes on by itself only after a stream.
        $again = $server->client->request('/forged-redirect.php');
        self::assertSame([200, "retry: 2000\n\n"], [$again->status, $again->body]);
        self::assertSame(1, $server->stats()['redirects']['unknown']);
    }

    public function testAWebServerThatIsNotKnownToFollowGetsTheStreamFromTheWorker(): void
    {
        $server = $this->serve('nginx-fpm-redirect', ['sse.redirect_header' => 'auto']);

        $stream = $server->client->openOne('/stream.php?topics=news');

        $server->publish('news', 'hello');
        self::assertSame(['hello'], $server->client->awaitEvents($stream, 1));
        $server->awaitLog('set sse.redirect_header to the header that it follows');
        self::assertSame(0, $server->stats()['redirects']['issued']);
    }
}
