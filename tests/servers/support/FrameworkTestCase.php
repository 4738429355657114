<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Response;
use PhpSse\Tests\Server\Php;
use PhpSse\Tests\Server\Server;

/** A test with the applications of frameworks/, which use the library in php/, behind real servers. */
abstract class FrameworkTestCase extends ServerTestCase
{
    protected const SERVERS = ['nginx-fpm-unix', 'apache-mod-php', 'php-s'];
    protected const APPLICATIONS = ['slim', 'symfony', 'plain'];

    /** @return iterable<string, array{string, string}> server, application */
    public static function applications(): iterable
    {
        foreach (static::SERVERS as $server) {
            foreach (static::APPLICATIONS as $application) {
                yield "$application on $server" => [$server, $application];
            }
        }
    }

    /**
     * @param array<string, string|int> $ini
     * @param array<string, string|int> $options
     */
    protected function serveApplications(string $name, array $ini = [], array $options = []): Server
    {
        // Symfony wants this module, which some builds of PHP have as a file of its own.
        $module = Php::hasModule('ctype') ? ['extension' => 'ctype'] : [];
        $server = $this->serve($name, $ini + $module, $options);
        $server->folder->copy(dirname(__DIR__) . '/frameworks/applications', 'app/frameworks');
        $server->folder->copy(dirname(__DIR__, 3) . '/php/src', 'library');

        return $server;
    }

    protected static function path(string $application, string $path): string
    {
        return "/frameworks/$application/index.php$path";
    }

    /** @return array<string, string> the headers of a client that may watch: a token, or the cookie of a session */
    protected static function user(Server $server, string $application): array
    {
        if ($application === 'slim') {
            return ['X-Token' => 'alice'];
        }
        $response = $server->client->request(self::path($application, '/login?user=alice'));
        self::assertSame(200, $response->status, $response->summary());
        self::assertSame(1, preg_match('/PHPSESSID=[^;]+/', $response->headers['set-cookie'], $cookie));

        return ['Cookie' => $cookie[0]];
    }

    /** @param array<string, string> $user */
    protected static function post(Server $server, string $path, array $user, array $fields): Response
    {
        $response = $server->client->request($path, $user, 'POST', http_build_query($fields));
        self::assertSame(200, $response->status, $response->summary());

        return $response;
    }

    /** PHP has complained of nothing; what it finds outdated in the frameworks' own files is not ours. */
    protected static function assertNoComplaint(Server $server): void
    {
        $complaints = array_filter(
            explode("\n", $server->phpLog()),
            static fn (string $line): bool => str_contains($line, 'PHP ')
                && !preg_match('~PHP Deprecated: .* in /usr/share/php/~', $line),
        );
        self::assertSame([], array_values($complaints));
    }
}
