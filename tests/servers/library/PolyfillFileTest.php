<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Event;
use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Php;
use PhpSse\Tests\Support\Deadline;

/** The file in which all processes of the polyfill have their events, and its folder: nobody else's, and with an end. */
final class PolyfillFileTest extends ServerTestCase
{
    /** Attack: a neighbour on the host reads events, or holds locks for ever, in a folder that lets others in. */
    public function testAFolderThatLetsOthersInIsRefused(): void
    {
        $server = $this->serve('nginx-fpm-polyfill');
        foreach ([0777, 0755, 0710, 0701, 0704] as $mode) {
            chmod($server->hubFolder, $mode);

            $answer = $server->client->request('/publish.php', [], 'POST', 'topic=news&data=x');

            self::assertSame(500, $answer->status);
            $message = json_decode($answer->body, true)['message'];
            self::assertStringContainsString(sprintf('has the mode %04o', $mode), $message);
            self::assertStringEndsWith("run: chmod 700 $server->hubFolder", $message);
        }
        self::assertSame([], glob("$server->hubFolder/*"));
        chmod($server->hubFolder, 0700);
        self::assertCount(1, $server->publish('news', 'x'));
    }

    /** Attack: a neighbour makes the folder first, or a link that leads to one. */
    public function testALinkIsRefusedAndSoIsAFileAndAnotherUsersFolder(): void
    {
        $commandLine = $this->commandLine(isPolyfill: true);
        $path = $commandLine->folder->path;
        symlink($commandLine->hubFolder, "$path/link");
        $commandLine->folder->file('file', '', 0600);
        $as = posix_geteuid() === 0 ? ['user' => Php::workerUser()] : [];
        $try = 'try { sse_publish("news", "x"); echo "taken"; } catch (SseException $refusal) { echo $refusal->getMessage(); }';
        $run = static fn (string $folder, array $as = []): string => $commandLine->run(
            $try,
            [],
            ['sse.polyfill_folder' => $folder],
            $as,
        );

        foreach (['link', 'link/', 'link//', 'file'] as $name) {
            self::assertStringContainsString('is a link or belongs to another user', $run("$path/$name"), $name);
        }
        self::assertSame('taken', $run("$commandLine->hubFolder/"));
        if ($as !== []) {
            self::assertStringContainsString('is a link or belongs to another user', $run($commandLine->hubFolder, $as));
        }
    }

    public function testItsFilesAreItsUsersOwnWhateverTheUmask(): void
    {
        $commandLine = $this->commandLine(isPolyfill: true);

        $count = $commandLine->run('umask(0); sse_publish("news", "x"); sse_stats(); echo count(glob("$argv[1]/*") ?: []);', [
            $commandLine->hubFolder,
        ]);

        $files = glob("$commandLine->hubFolder/*") ?: [];
        self::assertGreaterThanOrEqual(5, (int) $count);
        self::assertContains("$commandLine->hubFolder/events.sqlite", $files);
        self::assertContains("$commandLine->hubFolder/streams.lock", $files);
        foreach ($files as $file) {
            self::assertSame(0600, fileperms($file) & 0777, $file);
        }
    }

    /** Attack: a process holds a lock for ever, and with it the workers of all streams. */
    public function testALockThatAProcessHoldsIsWaitedForNoLongerThanTheTimeout(): void
    {
        $server = $this->serve('nginx-fpm-polyfill', ['sse.timeout' => 300]);
        $server->client->openOne('/stream.php?topics=news')->close();
        $lock = fopen("$server->hubFolder/streams.lock", 'r');
        Deadline::until(static fn (): bool => flock($lock, LOCK_EX | LOCK_NB), 10.0, 'the lock is free');

        $stream = $server->client->open('/stream.php?topics=news');
        $server->client->await($stream, static fn (Stream $stream): bool => $stream->ended, 20.0, 'the stream ends');

        self::assertMatchesRegularExpression('/^retry: 1000\nid: \d{13}-\d+\n\n$/D', $stream->response->body);
        $server->awaitLog('streams.lock for 300 ms, which is sse.timeout');
        fclose($lock);
        self::assertStringStartsWith("retry: 2000\n", $server->client->openOne('/stream.php?topics=news')->response->body);
    }

    /** Attack: whoever may publish fills the disk. What is kept is within limits, and so is the file. */
    public function testTheFileHasAnEndAndPublishingGoesOn(): void
    {
        $server = $this->serve('php-s-polyfill', ['sse.polyfill_bytes' => '32M', 'sse.history_bytes' => '1G']);
        $large = str_repeat('x', 500_000);
        for ($i = 0; $i < 8; $i++) {
            $server->publish("news.$i,copies.$i", $large, ['count' => 10, 'retain' => 1]);
        }

        clearstatcache();
        self::assertLessThanOrEqual(32 << 20, filesize("{$server->hubFolder}/events.sqlite"));
        $history = $server->stats()['history'];
        self::assertGreaterThan(1 << 20, $history['bytes']);
        self::assertLessThanOrEqual(8 << 20, $history['bytes']);
        [$id] = $server->publish('news.0', 'the last');
        $stream = $server->client->openOne('/stream.php?topics=news.*', ['Last-Event-ID' => '1700000000000-0']);
        $server->client->await(
            $stream,
            static fn (Stream $stream): bool => array_filter(
                $stream->parser->events,
                static fn (Event $event): bool => $event->id === $id,
            ) !== [],
            20.0,
            'the last event has come',
        );
        self::assertSame('gap', $stream->parser->events[0]->name);
    }

    public function testNotificationsOfManyTopicsAreBounded(): void
    {
        $code = <<<'PHP'
            $subscription = new SseSubscription('many.*', ['timeout' => 0.2]);
            SseTrigger::push(...array_map(static fn (int $i): string => "many.$i", range(1, 1500)));
            SseTrigger::push('many.1500', 'many.1500');
            $topics = array_map(static fn (SseEvent $event): string => $event->topic, iterator_to_array($subscription, false));
            echo json_encode([$topics[0], count($topics), count(array_keys($topics, 'many.1500')), end($topics)]);
            PHP;

        $output = $this->commandLine(isPolyfill: true)->run($code);

        self::assertSame(['**', 1001, 1, 'many.1500'], json_decode($output, true));
    }

    /** Many processes add events at once: each has its own id, ids grow in the order of the events, and none is lost. */
    public function testIdsGrowWhoeverPublishes(): void
    {
        $commandLine = $this->commandLine(['sse.timeout' => 30_000], isPolyfill: true);
        $commandLine->run('sse_cursor();');
        $code = 'for ($i = 0; $i < 100; $i++) { sse_publish("news", "$argv[1] $i"); }';
        $reader = $commandLine->subscribe(['news'], timeout: 60);
        $publishers = array_map(
            static fn (int $number) => $commandLine->start($code, [(string) $number]),
            range(1, 4),
        );
        foreach ($publishers as $publisher) {
            self::assertSame(0, $publisher->awaitExit(), $publisher->output());
        }
        $commandLine->run('sse_publish("news", "end");');
        $commandLine::awaitOutput($reader, '"data":"end"', 30.0);

        preg_match_all('/^\{.*\}$/m', $reader->output(), $lines);
        $events = array_map(static fn (string $line): array => json_decode($line, true), $lines[0]);
        self::assertCount(401, array_unique(array_column($events, 'data')));
        $ids = array_column($events, 'id');
        $sorted = $ids;
        usort($sorted, strnatcmp(...));
        self::assertSame($sorted, $ids);
        self::assertCount(401, array_unique($ids));
    }
}
