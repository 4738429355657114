<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\Php;
use PhpSse\Tests\Server\TempFolder;
use PhpSse\Tests\Support\Deadline;

/** A history on disk: no event that sse_publish() gave an id for is lost with the hub. */
final class DiskHistoryTest extends ServerTestCase
{
    private TempFolder $folder;
    private string $file;

    protected function setUp(): void
    {
        $this->folder = new TempFolder();
        $this->file = $this->folder->folder('db', 0700, Php::workerUser()) . '/sse.db';
    }

    protected function tearDown(): void
    {
        parent::tearDown();
        $this->folder->remove();
    }

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each([...Catalogue::EACH_SAPI, ...Catalogue::BLOCKING]);
    }

    /** @dataProvider servers */
    public function testAClientOfAHubThatDiedGetsWhatItHasMissedOnceAndInOrder(string $name): void
    {
        $server = $this->serve($name, ['sse.history' => "sqlite:$this->file"]);
        $stream = $server->client->openOne('/stream.php?topics=news');
        $server->publish('news', 'one');
        $server->client->awaitEvents($stream, 1);
        $last = $stream->parser->events[0]->id;
        $hub = $server->hub();
        posix_kill($hub, SIGKILL);
        Deadline::until(static fn (): bool => $server->stats()['pid'] !== $hub, 10.0, 'another hub has taken over');
        $stream->close();
        $server->publish('news', 'two');
        posix_kill($second = $server->hub(), SIGKILL);
        Deadline::until(static fn (): bool => $server->stats()['pid'] !== $second, 10.0, 'a third one, too');

        $again = $server->client->openOne('/stream.php?topics=news', ['Last-Event-ID' => $last]);
        $server->publish('news', 'three');

        self::assertSame(['two', 'three'], $server->client->awaitEvents($again, 2));
        self::assertSame(0, $server->stats()['history']['gaps']);
        self::assertSame(0600, fileperms($this->file) & 0777);
    }

    public function testTheFileCanBeReadWithTheSqliteToolWhileItIsUsed(): void
    {
        $server = $this->serve('nginx-fpm-unix', ['sse.history' => "sqlite:$this->file"]);
        [$id] = $server->publish('news', 'one');

        $read = shell_exec(sprintf('sqlite3 -readonly %s "SELECT id, topics, data FROM event" 2>&1', $this->file));

        self::assertSame("$id|[\"news\"]|one\n", $read);
    }

    public function testAFileThatCanNotBeWrittenIsAnExceptionForPublishersAndStreamsGoOn(): void
    {
        $folder = dirname($this->file);
        rmdir($folder);
        $commandLine = $this->commandLine(['sse.history' => "sqlite:$this->file"]);

        $error = $commandLine->run('publish.php', ['news', 'one'], code: 1);

        self::assertStringContainsString("SseUnavailable: sse.history: opening $this->file failed: No such file", $error);
        $this->folder->folder('db', 0700, Php::workerUser());
        self::assertStringNotContainsString('SseUnavailable', $commandLine->run('publish.php', ['news', 'two']));
    }
}
