<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Response;
use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Server;

/** A test with a site that has mounted the library's endpoints, behind real servers. */
abstract class EndpointTestCase extends ServerTestCase
{
    protected const SERVERS = ['nginx-fpm-unix', 'apache-mod-php', 'php-s'];
    protected const KEY = 'the key of the grants of this test, 32 bytes at least';

    /**
     * @param array<string, string|int> $ini
     * @param array<string, string|int> $options
     */
    protected function serveSite(string $name = 'php-s', array $ini = [], array $options = []): Server
    {
        $server = $this->serve($name, $ini, $options + ['modules' => 'ctype,mbstring']);
        $library = dirname(__DIR__, 3) . '/php';
        $server->folder->copy("$library/src", 'library');
        $server->folder->copy("$library/endpoints", 'app/sse');
        $server->folder->copy(dirname(__DIR__) . '/library/site/sse-site.php', 'sse-site.php');
        $server->folder->copy(dirname(__DIR__) . '/library/site/apienv', '.apienv');
        $server->folder->folder('app/vendor');
        // As Composer's: the library, and phpdotenv where the distribution has it.
        $server->folder->file('app/vendor/autoload.php', <<<'PHP'
            <?php
            spl_autoload_register(static function (string $class): void {
                $file = dirname(__DIR__, 2) . '/library/' . str_replace('\\', '/', substr($class, 4)) . '.php';
                if (str_starts_with($class, 'Sse\\') && is_file($file)) {
                    require $file;
                }
            });
            require dirname(__DIR__, 2) . '/library/functions.php';
            require 'Dotenv/autoload.php';
            // What nginx would be told by fastcgi_param.
            $_SERVER['SSE_SITE'] ??= dirname(__DIR__, 2) . '/sse-site.php';
            PHP);

        return $server;
    }

    /** @param array<string, string> $headers */
    protected static function send(Server $server, array $message, array $headers = []): Response
    {
        return $server->client->request(
            '/sse/publish.php',
            $headers + ['Content-Type' => 'application/json'],
            'POST',
            json_encode($message, JSON_THROW_ON_ERROR),
        );
    }

    /** What the stream is told of itself first: its public id. */
    protected static function idOf(Server $server, Stream $stream): string
    {
        return json_decode($server->client->awaitEvents($stream, 1)[0], true)['stream'];
    }

    protected static function awaitEnd(Server $server, Stream $stream): void
    {
        $server->client->await($stream, static fn (Stream $stream): bool => $stream->ended, 15.0, 'the stream ends');
    }
}
