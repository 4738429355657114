<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Event;
use PhpSse\Tests\Client\Response;
use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Php;
use PhpSse\Tests\Server\Process;
use PhpSse\Tests\Server\Server;
use PhpSse\Tests\Server\TempFolder;

/**
 * A Laravel application that broadcasts, with a login, sessions, a database and a queue: on Debian's Laravel, or the one whose
 * vendor/autoload.php LARAVEL names.
 */
abstract class LaravelTestCase extends FrameworkTestCase
{
    private const MODULES = 'mbstring,tokenizer,pdo,pdo_sqlite,posix,pcntl,intl';

    protected ?TempFolder $disk = null;

    protected function tearDown(): void
    {
        parent::tearDown();
        $this->disk?->remove();
        $this->disk = null;
    }

    /** @return iterable<string, array{string}> */
    public static function servers(): iterable
    {
        foreach (self::SERVERS as $server) {
            yield $server => [$server];
        }
    }

    /** @param array<string, string|int> $ini */
    protected function serveLaravel(string $name, array $ini = [], string $environment = ''): Server
    {
        $server = $this->serveApplications($name, $ini, ['modules' => self::MODULES]);
        if ($environment !== '') {
            $server->folder->file('app/frameworks/broadcasting/.env', "SSE_PREFIX=chat\n$environment");
        }
        $other = getenv('LARAVEL');
        if ($other !== false) {
            $code = sprintf("<?php\n\nrequire %s;\n", var_export($other, true));
            $server->folder->file('app/frameworks/broadcasting/autoload.php', $code);
        }
        $installed = $server->client->request(self::path('broadcasting', '/install'));
        self::assertSame('installed', $installed->body, $installed->summary());

        return $server;
    }

    /** @return array<string, string> headers of a browser: the session's cookie and the page's token */
    protected static function login(Server $server, int $user): array
    {
        return self::loginAll($server, [$user])[$user];
    }

    /**
     * @param list<int> $users
     *
     * @return array<int, array<string, string>>
     */
    protected static function loginAll(Server $server, array $users): array
    {
        $exchanges = [];
        foreach ($users as $user) {
            $exchanges[$user] = $server->client->open(self::path('broadcasting', "/login/$user"));
        }
        $server->client->awaitAll($exchanges, static fn (Stream $exchange): bool => $exchange->ended, 60.0, 'all are logged in');

        return array_map(static function (Stream $exchange): array {
            $response = $exchange->response;
            self::assertSame(200, $response->status, $response->summary());
            self::assertSame(1, preg_match('/laravel_session=[^;]+/', $response->headers['set-cookie'], $cookie));

            return ['Cookie' => $cookie[0], 'X-CSRF-TOKEN' => $response->body];
        }, $exchanges);
    }

    /**
     * @param array<string, string> $user
     * @param list<string>          $channels
     */
    protected static function listen(Server $server, array $user, array $channels): Stream
    {
        return $server->client->openOne(self::path('broadcasting', '/sse/stream?') . http_build_query(['channels' => $channels]), $user);
    }

    /** @param array<string, string> $user */
    protected static function ask(Server $server, array $user, string $route, array $query): Response
    {
        return $server->client->request(self::path('broadcasting', "/sse/$route?") . http_build_query($query), $user);
    }

    /**
     * @param array<string, string> $user
     * @param array<string, string> $fields
     */
    protected static function change(Server $server, array $user, Stream $stream, array $fields): Response
    {
        $form = http_build_query($fields + ['stream' => self::socketId($stream)]);

        return $server->client->request(self::path('broadcasting', '/sse/topics'), $user, 'POST', $form);
    }

    /**
     * @param array<string, string> $user
     * @param list<string>          $channels
     */
    protected static function say(Server $server, array $user, array $channels, string $text, bool $others = false): void
    {
        $fields = ['channels' => $channels, 'text' => $text, 'others' => (int) $others];
        self::assertSame('said', self::post($server, self::path('broadcasting', '/say'), $user, $fields)->body);
    }

    /** @return list<Event> */
    protected static function said(Stream $stream): array
    {
        return array_values(array_filter(
            $stream->parser->events,
            static fn (Event $event): bool => $event->name === 'App\Events\Said',
        ));
    }

    /** @return list<string> what has been said, when it is so much */
    protected static function texts(Server $server, Stream $stream, int $count): array
    {
        $server->client->await(
            $stream,
            static fn (Stream $stream): bool => count(self::said($stream)) >= $count,
            20.0,
            "so much has been said: $count",
        );

        return array_map(
            static fn (Event $event): string => json_decode($event->data, true, 512, JSON_THROW_ON_ERROR)['text'],
            self::said($stream),
        );
    }

    protected static function socketId(Stream $stream): string
    {
        self::assertSame('stream', $stream->parser->events[0]->name);

        return json_decode($stream->parser->events[0]->data, true, 512, JSON_THROW_ON_ERROR)['stream'];
    }

    /**
     * Starts a command of the application, as the workers' user.
     *
     * @param list<string> $arguments
     */
    protected static function artisan(Server $server, array $arguments): Process
    {
        return self::program($server, 'artisan.php', $arguments);
    }

    /**
     * Starts a program of the application, as the workers' user.
     *
     * @param list<string> $arguments
     */
    protected static function program(Server $server, string $file, array $arguments): Process
    {
        $folder = $server->folder->path;
        $user = Php::workerUser();
        $as = posix_geteuid() === 0 ? ['setpriv', '--reuid', $user, '--regid', $user, '--clear-groups', '--'] : [];

        return new Process(
            [...$as, Php::cli(), '-c', "$folder/php.ini", "$folder/app/frameworks/broadcasting/$file", ...$arguments],
            sprintf("$folder/log/$file-%s.out", hash('crc32b', implode(' ', $arguments))),
            // What it starts itself has the settings too.
            ['PHPRC' => $folder, 'PHP_INI_SCAN_DIR' => "$folder/none", 'HOME' => $folder],
            $folder,
            $file,
        );
    }
}
