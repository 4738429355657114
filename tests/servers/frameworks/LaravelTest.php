<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Support\Deadline;
use PhpSse\Tests\Server\Server;
use PhpSse\Tests\Support\Page;

/** The recipe for Laravel, as it is written there, in an application with a login, sessions and a database. */
final class LaravelTest extends FrameworkTestCase
{
    private const MODULES = 'mbstring,tokenizer,pdo,pdo_sqlite';
    private const PAGE = 'docs/guide/recipes/laravel.md';

    /** @return iterable<string, array{string, string}> server, chapter with the route */
    public static function routes(): iterable
    {
        foreach (self::SERVERS as $server) {
            yield "sse_stream() in a route on $server" => [$server, 'The route'];
            yield "the library's response on $server" => [$server, 'Headers of middlewares'];
        }
    }

    /** @dataProvider routes */
    public function testAUserSeesTheOwnOrdersAndEachNewOneAfterTheCommit(string $name, string $chapter): void
    {
        $server = $this->serveLaravel($name, $chapter);
        $alice = self::login($server, 1);

        $stream = $server->client->openOne(self::path('laravel', '/orders/stream'), $alice);
        $server->client->awaitEvents($stream, 1);
        self::place($server, ['user_id' => 2, 'title' => 'of bob']);
        $failed = $server->client->request(self::path('laravel', '/orders'), [], 'POST', http_build_query(
            ['user_id' => 1, 'title' => 'rolled back', 'fail' => 1],
        ));
        self::assertSame(409, $failed->status);
        self::place($server, ['user_id' => 1, 'title' => 'tea']);

        $events = $server->client->awaitEvents($stream, 2);
        self::assertSame(['[]', '[{"id":2,"user_id":1,"title":"tea"}]'], $events);
        self::assertSame('orders', $stream->parser->events[1]->name);
        // Those of bob and the tea: what was rolled back has told nobody.
        self::assertSame(2, $server->stats()['triggers']);
        self::assertNoComplaint($server);
    }

    /** @dataProvider routes */
    public function testTheStreamEndsWhenTheUserHasLoggedOut(string $name, string $chapter): void
    {
        $server = $this->serveLaravel($name, $chapter);
        $alice = self::login($server, 1);
        $stream = $server->client->openOne(self::path('laravel', '/orders/stream'), $alice);
        $server->client->awaitEvents($stream, 1);
        // The stream's own request saves the session as it ends, and would undo a logout before that.
        $finished = static fn (): int => substr_count($server->phpLog(), 'the application has finished');
        Deadline::until(static fn (): bool => $finished() >= 3, 10.0, 'installation, login and stream have finished');

        $server->client->request(self::path('laravel', '/logout'), $alice);
        self::place($server, ['user_id' => 1, 'title' => 'tea']);

        $server->client->await($stream, static fn (Stream $stream): bool => $stream->ended, 10.0, 'the stream ends');
        self::assertStringNotContainsString('tea', $stream->response->body);
    }

    /** @dataProvider routes */
    public function testAStrangerIsSentToTheLogin(string $name, string $chapter): void
    {
        $server = $this->serveLaravel($name, $chapter);

        $response = $server->client->request(self::path('laravel', '/orders/stream'));

        self::assertSame(302, $response->status, $response->summary());
        self::assertStringEndsWith('/login', $response->headers['location']);
        self::assertSame(0, $server->openStreams());
    }

    public function testOnlyTheLibrarysResponseHasTheCookiesOfMiddlewares(): void
    {
        foreach (['The route' => false, 'Headers of middlewares' => true] as $chapter => $expected) {
            $server = $this->serveLaravel('nginx-fpm-unix', $chapter);

            $stream = $server->client->openOne(self::path('laravel', '/orders/stream'), self::login($server, 1));

            self::assertSame($expected, isset($stream->response->headers['set-cookie']), $chapter);
        }
    }

    public function testReplaysDoNotCountForThrottle(): void
    {
        [$provider, $route] = Page::blocks('docs/guide/recipes/rate-limits.md', 'Laravel')['php'];
        $server = $this->serveLaravel('nginx-fpm-unix', 'The route');
        $folder = 'app/frameworks/laravel';
        $server->folder->file("$folder/app/AppServiceProvider.php", str_replace('perMinute(30)', 'perHour(2)', $provider));
        $register = '<?php require_once dirname(__DIR__) . "/app/AppServiceProvider.php"; '
            . 'app()->register(App\Providers\AppServiceProvider::class); ?>';
        $server->folder->file("$folder/routes/web.php", $register . $route);
        $alice = self::login($server, 1);

        $stream = $server->client->openOne(self::path('laravel', '/orders/stream'), $alice);
        for ($number = 1; $number <= 3; $number++) {
            $server->client->awaitEvents($stream, $number);
            self::place($server, ['user_id' => 1, 'title' => "tea $number"]);
        }
        $server->client->awaitEvents($stream, 4);
        self::assertSame(0, $server->stats()['renders']['failed']);
        $server->client->openOne(self::path('laravel', '/orders/stream'), $alice);
        $refused = $server->client->request(self::path('laravel', '/orders/stream'), $alice);

        self::assertSame(429, $refused->status, $refused->summary());
        self::assertMatchesRegularExpression('/^\d+$/D', $refused->headers['retry-after'] ?? '');
    }

    private function serveLaravel(string $name, string $chapter): Server
    {
        $server = $this->serveApplications($name, options: ['modules' => self::MODULES]);
        $folder = 'app/frameworks/laravel';
        $server->folder->folder("$folder/app");
        $server->folder->folder("$folder/app/Models");
        $server->folder->folder("$folder/routes");
        $server->folder->file("$folder/app/Models/Order.php", Page::blocks(self::PAGE, 'The model')['php'][0]);
        $server->folder->file("$folder/routes/web.php", Page::blocks(self::PAGE, $chapter)['php'][0]);
        $installed = $server->client->request(self::path('laravel', '/install'));
        self::assertSame('installed', $installed->body, $installed->summary());

        return $server;
    }

    /** @return array<string, string> the cookie of the session */
    private static function login(Server $server, int $user): array
    {
        $response = $server->client->request(self::path('laravel', "/login/$user"));
        self::assertSame('logged in', $response->body, $response->summary());
        self::assertSame(1, preg_match('/laravel_session=[^;]+/', $response->headers['set-cookie'], $cookie));

        return ['Cookie' => $cookie[0]];
    }

    /** @param array<string, string|int> $order */
    private static function place(Server $server, array $order): void
    {
        self::assertSame('placed', self::post($server, self::path('laravel', '/orders'), [], $order)->body);
    }
}
