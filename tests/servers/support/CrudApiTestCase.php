<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PDO;
use PhpSse\Tests\Client\Response;
use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\Server;

/**
 * A test with the real PHP-CRUD-API, behind real servers, on SQLite. It is found by PHP_CRUD_API=path, a clone of
 * mevdschee/php-crud-api, or beside this checkout.
 */
abstract class CrudApiTestCase extends ServerTestCase
{
    protected const SERVERS = ['nginx-fpm-unix', 'apache-mod-php', 'php-s'];
    protected const ONE = ['X-API-Key' => 'one'];
    protected const TWO = ['X-API-Key' => 'two'];
    protected const OPERATOR = ['X-API-Key' => 'operator'];

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each(self::SERVERS);
    }

    protected static function crudApi(): string
    {
        $said = getenv('PHP_CRUD_API');
        $path = $said ?: dirname(__DIR__, 4) . '/php-crud-api';
        if (is_file("$path/api.include.php")) {
            return $path;
        }
        self::assertFalse($said, "PHP_CRUD_API=$path, where there is no api.include.php");
        self::markTestSkipped("php-crud-api: clone https://github.com/mevdschee/php-crud-api to $path, or set PHP_CRUD_API");
    }

    /** @param array<string, string|int> $ini */
    protected function serveCrudApi(string $name = 'php-s', array $ini = []): Server
    {
        $path = self::crudApi();
        $server = $this->serve($name, $ini, ['modules' => 'pdo,pdo_sqlite,mbstring']);
        // Everything that it reads is there before its first request.
        $server->folder->folder('php-crud-api');
        $server->folder->copy("$path/api.include.php", 'php-crud-api/api.include.php');
        $server->folder->copy(dirname(__DIR__) . '/library/crud', 'app/crud');
        $server->folder->copy(dirname(__DIR__) . '/frameworks/applications/autoload.php', 'app/crud/autoload.php');
        $server->folder->copy(dirname(__DIR__, 3) . '/php/src', 'library');
        $server->folder->folder('data', 0777);
        $server->folder->file('data/passwords', 'one:' . password_hash('pass-one', PASSWORD_BCRYPT, ['cost' => 4]) . "\n"
            . 'two:' . password_hash('pass-two', PASSWORD_BCRYPT, ['cost' => 4]) . "\n", 0666);
        $pdo = self::database($server);
        $pdo->exec((string) file_get_contents(dirname(__DIR__) . '/library/crud/shop.sql'));
        $insert = $pdo->prepare('INSERT INTO users (username, password, api_key) VALUES (?, ?, ?)');
        foreach (['one', 'two'] as $user) {
            $insert->execute([$user, password_hash("pass-$user", PASSWORD_BCRYPT, ['cost' => 4]), "key-$user"]);
        }
        chmod("{$server->folder->path}/data/data.db", 0666);

        return $server;
    }

    protected static function database(Server $server): PDO
    {
        return new PDO("sqlite:{$server->folder->path}/data/data.db", null, null, [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
    }

    /**
     * A request to the API.
     *
     * @param array<string, string> $headers
     */
    protected static function call(
        Server $server,
        string $api,
        string $method,
        string $path,
        mixed $body = null,
        array $headers = [],
    ): Response {
        $text = $body === null ? '' : json_encode($body, JSON_THROW_ON_ERROR);

        return $server->client->request(
            "/crud/$api.php$path",
            $headers + ($body === null ? [] : ['Content-Type' => 'application/json']),
            $method,
            $text,
        );
    }

    /**
     * The same, and what it answers with 200.
     *
     * @param array<string, string> $headers
     */
    protected static function done(
        Server $server,
        string $api,
        string $method,
        string $path,
        mixed $body = null,
        array $headers = [],
    ): mixed {
        $response = self::call($server, $api, $method, $path, $body, $headers);
        self::assertSame(200, $response->status, $response->summary());

        return json_decode($response->body, true, 512, JSON_THROW_ON_ERROR);
    }

    /** All that is published under a pattern. */
    protected static function watch(Server $server, string $pattern = 'records.**'): Stream
    {
        return $server->client->openOne('/stream.php?topics=' . rawurlencode($pattern));
    }

    /**
     * Opens a live stream, and awaits its first event.
     *
     * @param array<string, string> $headers
     */
    protected static function live(Server $server, string $api, string $path, array $headers = []): Stream
    {
        $stream = $server->client->openOne("/crud/$api.php/sse/records$path", $headers);
        $server->client->awaitEvents($stream, 1);
        self::assertSame('open', self::changes($stream)[0]['action']);

        return $stream;
    }

    /**
     * What a stream has told, without marks.
     *
     * @return list<array<string, mixed>>
     */
    protected static function changes(Stream $stream): array
    {
        return array_map(static function (string $data): array {
            $change = json_decode($data, true, 512, JSON_THROW_ON_ERROR);
            unset($change['scope']);

            return $change;
        }, $stream->data());
    }

    /**
     * Waits for so many changes behind the first event, and returns `action id` of each.
     *
     * @return list<string>
     */
    protected static function awaitChanges(Server $server, Stream $stream, int $count): array
    {
        $server->client->awaitEvents($stream, $count + 1);

        return self::told($stream);
    }

    /** @return list<string> */
    protected static function told(Stream $stream): array
    {
        $changes = array_filter(self::changes($stream), static fn (array $change): bool => $change['action'] !== 'open');

        return array_values(array_map(
            static fn (array $change): string => rtrim("{$change['action']} " . ($change['id'] ?? '')),
            $changes,
        ));
    }

    /** PHP has complained of nothing. */
    protected static function assertNoComplaint(Server $server): void
    {
        $complaints = preg_grep('/PHP (Warning|Notice|Deprecated|Fatal|Parse)/', explode("\n", $server->phpLog())) ?: [];
        // It complains of PHP-CRUD-API's own files, too, with a newer PHP.
        $ours = preg_grep('~/php-crud-api/api\.include\.php~', $complaints, PREG_GREP_INVERT) ?: [];
        self::assertSame([], array_values($ours));
    }
}
