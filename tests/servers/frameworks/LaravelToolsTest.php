<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Client;
use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Php;
use PhpSse\Tests\Server\Port;
use PhpSse\Tests\Support\Deadline;
use PhpSse\Tests\Support\Proc;

/** What a Laravel application's developer runs: commands, and the fake for tests. */
final class LaravelToolsTest extends LaravelTestCase
{
    private const INSTALLED = ['.env', 'routes/channels.php', 'config/sse.php', 'resources/js/echo.js'];

    public function testTheCommandsTellTheHubsFiguresAndWhatIsBroadcast(): void
    {
        $server = $this->serveLaravel('nginx-fpm-unix');
        $ann = self::login($server, 1);
        self::listen($server, $ann, ['news']);

        $stats = self::artisan($server, ['sse:stats', '--json']);
        self::assertSame(0, $stats->awaitExit(), $stats->output());
        self::assertSame(1, json_decode($stats->output(), true, 512, JSON_THROW_ON_ERROR)['streams']['open']);
        $table = self::artisan($server, ['sse:stats']);
        self::assertSame(0, $table->awaitExit(), $table->output());
        self::assertMatchesRegularExpression('/streams\.open +\| 1 /', $table->output());

        $streams = self::artisan($server, ['sse:streams', '--json']);
        self::assertSame(0, $streams->awaitExit(), $streams->output());
        self::assertCount(1, json_decode($streams->output(), true, 512, JSON_THROW_ON_ERROR));

        $url = $server->url() . self::path('broadcasting', '/sse/stream?channels[]=news');
        $doctor = self::artisan($server, ['sse:doctor', $url, '--json']);
        $doctor->awaitExit(60.0);
        $found = array_column(json_decode($doctor->output(), true, 512, JSON_THROW_ON_ERROR), 'level', 'id');
        self::assertSame('ok', $found['delivered'] ?? null, $doctor->output());

        $tail = self::artisan($server, ['sse:tail', 'private-App.User.1', '--count=1']);
        Deadline::until(static fn (): bool => $server->stats()['topics'] === 2, 20.0, 'the command listens', $tail->output(...));
        self::say($server, $ann, ['news'], 'elsewhere');
        self::say($server, $ann, ['private-App.User.1'], '<info>here');
        self::assertSame(0, $tail->awaitExit(), $tail->output());
        $told = json_decode($tail->output(), true, 512, JSON_THROW_ON_ERROR);
        self::assertSame(['App\Events\Said', '{"text":"<info>here"}'], [$told['event'], $told['data']]);

        posix_kill($server->hub(), SIGKILL);
        $wrong = self::artisan($server, ['sse:tail', '--', str_repeat('x', 300)]);
        self::assertSame(1, $wrong->awaitExit(), $wrong->output());
        self::assertStringContainsString('has no topic', $wrong->output());
    }

    public function testTheDevelopmentServerHoldsStreamsWithoutItsOnlyProcessAndEndsWithItsHub(): void
    {
        $server = $this->serveLaravel('nginx-fpm-unix');
        self::assertSame([], Proc::listenersOn($server->socket()), 'FPM has needed no hub');
        // What a new application has: older versions of Laravel bring no server.php of their own.
        $server->folder->folder('app/frameworks/broadcasting/public', 0755);
        $server->folder->file('app/frameworks/broadcasting/public/index.php', "<?php\nrequire dirname(__DIR__) . '/index.php';\n");
        $server->folder->file('app/frameworks/broadcasting/server.php', "<?php\nrequire __DIR__ . '/public/index.php';\n");
        $port = Port::free();

        // Without the option it keeps most of the environment from PHP, which is where these settings are; a user's are in php.ini.
        $serve = self::artisan($server, ['serve', "--port=$port", '--no-reload']);
        try {
            Deadline::until(static fn (): bool => Port::answers($port), 20.0, 'it answers', $serve->output(...));
            $client = new Client("http://127.0.0.1:$port");
            $login = $client->request('/login/1');
            self::assertSame(1, preg_match('/laravel_session=[^;]+/', $login->headers['set-cookie'] ?? '', $cookie), $login->summary());
            $ann = ['Cookie' => $cookie[0], 'X-CSRF-TOKEN' => $login->body];
            $query = http_build_query(['channels' => ['private-App.User.1', 'private-App.User.2', 'presence-room.all']]);
            $streams = $client->openMany(3, "/sse/stream?$query", $ann);
            $said = $client->request('/say', $ann, 'POST', 'channels[]=private-App.User.1&text=hello');
            self::assertSame('said', $said->body, $said->summary());

            foreach ($streams as $stream) {
                $client->await($stream, static fn (Stream $stream): bool => self::said($stream) !== [], 20.0, 'it came');
                self::assertSame('private-App.User.2', $stream->response->headers['sse-refused']);
            }
            $hub = $server->hub();
        } finally {
            // As ^C does: all of its group.
            posix_kill(-$serve->pid, SIGINT);
        }
        Deadline::until(static fn (): bool => !Proc::isAlive($hub), 20.0, 'its hub has ended with it', $serve->output(...));
    }

    public function testTheFakeTellsTheTestsOfAnApplicationWhatItBroadcasts(): void
    {
        $server = $this->serveLaravel('nginx-fpm-unix');

        $told = self::program($server, 'fake.php', []);

        self::assertSame(0, $told->awaitExit(), $told->output());
        $told = json_decode($told->output(), true, 512, JSON_THROW_ON_ERROR);
        self::assertSame(['wrong sender', 'wrong name', 'wrong data', 'wrong count', 'something'], $told['failed']);
        self::assertSame(
            ['order.paid', 'App\Events\Said', 'Illuminate\Notifications\Events\BroadcastNotificationCreated'],
            $told['types'],
        );
        self::assertSame(0, $server->stats()['published']);
    }

    public function testInstallWritesWhatIsMissingAndNothingTwice(): void
    {
        $server = $this->serveLaravel('nginx-fpm-unix');
        $folder = $server->folder->folder('app/frameworks/broadcasting/resources') . '/..';
        $server->folder->folder('app/frameworks/broadcasting/resources/js', 0755, Php::workerUser());
        foreach (['', '/config'] as $writable) {
            chmod("$folder$writable", 0777);
        }
        file_put_contents("$folder/.env", "APP_NAME=\"My Shop\"\nBROADCAST_DRIVER=log\nBROADCAST_CONNECTION=log\nX=1");
        chmod("$folder/.env", 0666);

        $first = self::artisan($server, ['sse:install']);
        self::assertSame(0, $first->awaitExit(), $first->output());
        $written = array_map(static fn (string $file): string => (string) file_get_contents("$folder/$file"), self::INSTALLED);
        $second = self::artisan($server, ['sse:install', '-v']);
        self::assertSame(0, $second->awaitExit(), $second->output());

        self::assertMatchesRegularExpression('/^BROADCAST_(DRIVER|CONNECTION)=sse$/m', $written[0]);
        self::assertStringEndsWith("X=1\nSSE_PREFIX=my-shop\n", $written[0]);
        self::assertStringContainsString("Broadcast::channel('App.Models.User.{id}'", $written[1]);
        self::assertSame(file_get_contents(dirname(__DIR__, 3) . '/php/src/Laravel/config.php'), $written[2]);
        self::assertStringContainsString('broadcaster: SseConnector', $written[3]);
        $again = array_map(static fn (string $file): string => (string) file_get_contents("$folder/$file"), self::INSTALLED);
        self::assertSame($written, $again);
    }
}
