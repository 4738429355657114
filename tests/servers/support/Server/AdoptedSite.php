<?php

declare(strict_types=1);

namespace PhpSse\Tests\Server;

use PDO;
use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Support\Deadline;
use Redis;

/**
 * The data behind the scripts of tests/servers/support/app/adopt on one server: a database, a Redis, a cache and a file; and what
 * the rest of such a site does, which is to write to them.
 */
final class AdoptedSite
{
    /** The scripts' names, without .php. */
    public const SCRIPTS = ['poll', 'redis-list', 'cache-key', 'sqlite-since', 'file-chat'];

    /** What the server has to load for them: the option 'modules'. */
    public const MODULES = 'igbinary,redis,apcu,pdo,pdo_sqlite';

    private const TOPIC = 'site';

    public readonly string $data;
    private readonly Process $redis;
    private int $notices = 0;

    /** @param string $udp where the server's hub takes datagrams: host:port */
    public function __construct(private readonly Server $server, private readonly string $udp = '')
    {
        $this->data = $server->folder->folder('data', 0777);
        $server->folder->file('data/queries.log', '', 0666);
        $server->folder->file('data/chat.txt', '', 0666);
        $database = $this->database();
        $database->exec('CREATE TABLE notices (id INTEGER PRIMARY KEY, text TEXT)');
        $database->exec('CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT)');
        chmod("$this->data/site.sqlite", 0666);
        $this->redis = new Process(
            ['redis-server', '--port', '0', '--unixsocket', "$this->data/redis.sock", '--unixsocketperm', '777',
                '--save', '', '--dir', $this->data],
            "{$server->folder->path}/log/redis.out",
            ['LC_ALL' => 'C.UTF-8'],
            $this->data,
            'redis-server',
        );
        Deadline::until(fn (): bool => Port::isOpenToAll("$this->data/redis.sock"), 10.0, 'Redis listens');
    }

    public function stop(): void
    {
        $this->redis->stop();
    }

    private function database(): PDO
    {
        return new PDO("sqlite:$this->data/site.sqlite");
    }

    public function path(string $script): string
    {
        return "/adopt/$script.php";
    }

    /** Writes where this script looks, and returns what it then sends. */
    public function write(string $script, string $text): string
    {
        switch ($script) {
            case 'poll':
                $this->database()->prepare('INSERT INTO notices (text) VALUES (?)')->execute([$text]);

                return sprintf('{"unread":%d}', ++$this->notices);
            case 'redis-list':
                $redis = new Redis();
                $redis->connect("$this->data/redis.sock");
                $redis->lPush('jobs:done', $text);
                break;
            case 'cache-key':
                $this->server->client->request('/adopt/apcu-write.php?text=' . urlencode($text));
                break;
            case 'sqlite-since':
                $this->database()->prepare('INSERT INTO messages (text) VALUES (?)')->execute([$text]);
                break;
            case 'file-chat':
                file_put_contents("$this->data/chat.txt", "$text\n", FILE_APPEND);
                break;
        }

        return $text;
    }

    /** Tells that something was written: the one line that a site adds. */
    public function wake(string $topic = self::TOPIC): void
    {
        stream_socket_sendto(stream_socket_client("udp://$this->udp"), "WAKEUP $topic");
    }

    /** Reads until the stream has an event that holds the text; returns the seconds that took. */
    public function awaitText(Stream $stream, string $text, float $seconds = 20.0): float
    {
        $begin = microtime(true);
        $this->server->client->await(
            $stream,
            static fn (Stream $stream): bool => str_contains(implode("\n", $stream->data()), $text),
            $seconds,
            "'$text' has come",
        );

        return microtime(true) - $begin;
    }

    /** How often the scripts have asked their stores. */
    public function queries(): int
    {
        clearstatcache();

        return substr_count((string) file_get_contents("$this->data/queries.log"), "\n");
    }

    /** Waits until a script has asked its store once more; returns the time of that. */
    public function awaitQuery(float $seconds = 20.0): float
    {
        $before = $this->queries();
        Deadline::until(fn (): bool => $this->queries() > $before, $seconds, 'a script asks its store');

        return microtime(true);
    }

    /** What ticks.php sends. */
    public function state(string $text): void
    {
        file_put_contents("$this->data/state", $text);
    }
}
