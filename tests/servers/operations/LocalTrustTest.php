<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Server\CommandLine;
use PhpSse\Tests\Support\Proc;

/** Who may speak to a hub, and which places it trusts. Needs root, to be several users. */
final class LocalTrustTest extends ServerTestCase
{
    private const STRANGER = 'backup';

    protected function setUp(): void
    {
        if (posix_geteuid() !== 0) {
            self::markTestSkipped('root: only root can run programs as other users');
        }
    }

    /** Attack: whoever may write to the folder replaces the socket, and gets the visitors' connections. */
    public function testAFolderThatOthersMayWriteToIsRefused(): void
    {
        $commandLine = $this->commandLine();
        chmod($commandLine->hubFolder, 0777);

        $said = $commandLine->run('publish.php', ['news', 'event'], [], [], 1);

        self::assertMatchesRegularExpression('/^Sse\w+: /', $said);
        self::assertStringContainsString($commandLine->hubFolder, $said);
        self::assertStringContainsString('0777', $said);
        self::assertFileDoesNotExist($commandLine->socket());
    }

    /** Attack: a stranger makes the default folder in the temp folder first, and listens there. */
    public function testAStrangersDefaultFolderIsPassedByAndHisListenerNotSpokenTo(): void
    {
        $commandLine = $this->commandLine();
        $temporary = $commandLine->folder->folder('t', 01777);
        $www = posix_getpwnam('www-data')['uid'];
        $trap = $commandLine->folder->folder("t/php-sse-$www", 0755, self::STRANGER);
        $listener = stream_socket_server("unix://$trap/hub.sock");
        chmod("$trap/hub.sock", 0777);
        $settings = ['sse.socket' => '', 'sys_temp_dir' => $temporary, 'log_errors' => 1, 'error_log' => "$temporary/php.log"];
        $published = 'echo sse_publish("news", "event") > 0 ? sse_stats()["published"] : "";';

        $first = $commandLine->run($published, [], $settings, ['user' => 'www-data']);
        // Whatever the environment of a process is like, and also when the stranger has gone.
        unlink("$trap/hub.sock");
        rmdir($trap);
        $login = $commandLine->folder->folder('login', 0700, 'www-data');
        $login = "putenv('XDG_RUNTIME_DIR=$login');";
        $second = $commandLine->run("$login $published", [], $settings, ['user' => 'www-data']);

        self::assertSame(['1', '2'], [$first, $second], 'both published to the same hub');
        self::assertCount(1, Proc::listenersOn("$temporary/php-sse-$www-1/hub.sock"));
        self::assertStringContainsString(
            "sse: $trap belongs to user " . posix_getpwnam(self::STRANGER)['uid'] . ", not to user $www; the hub of user $www"
            . " is in $temporary/php-sse-$www-1; to have it elsewhere, set sse.socket",
            (string) file_get_contents("$temporary/php.log"),
        );
        self::assertNothingHasConnected($listener);
    }

    /** Attack: the same in a folder that the administrator named, before the service's user made it. */
    public function testAStrangersFolderIsRefusedWhereTheSettingNamesIt(): void
    {
        $commandLine = $this->commandLine();
        $trap = $commandLine->folder->folder('trap', 0755, self::STRANGER);
        $listener = stream_socket_server("unix://$trap/hub.sock");
        chmod("$trap/hub.sock", 0777);

        $said = $commandLine->run(
            'publish.php',
            ['news', 'event'],
            ['sse.socket' => "$trap/hub.sock"],
            ['user' => 'www-data'],
            1,
        );

        self::assertMatchesRegularExpression('/^Sse\w+: /', $said);
        self::assertNothingHasConnected($listener);
    }

    /** Attack: a link at the default place leads the hub into a folder that the stranger can watch. */
    public function testALinkInPlaceOfTheDefaultFolderIsNotFollowed(): void
    {
        $commandLine = $this->commandLine();
        $temporary = $commandLine->folder->folder('t', 01777);
        $elsewhere = $commandLine->folder->folder('elsewhere', 0700, 'www-data');
        $link = "$temporary/php-sse-" . posix_getpwnam('www-data')['uid'];
        symlink($elsewhere, $link);

        $said = $commandLine->run(
            'publish.php',
            ['news', 'event'],
            ['sse.socket' => '', 'sys_temp_dir' => $temporary],
            ['user' => 'www-data'],
        );

        self::assertMatchesRegularExpression('/^\d+-\d+$/m', $said);
        self::assertCount(1, Proc::listenersOn("$link-1/hub.sock"));
        self::assertSame(['.', '..'], scandir($elsewhere));
    }

    public function testTheDefaultFolderIsMadeForItsUserAlone(): void
    {
        $commandLine = $this->commandLine();
        $temporary = $commandLine->folder->folder('t', 01777);
        $settings = ['sse.socket' => '', 'sys_temp_dir' => $temporary, 'sse.idle_exit' => 1];

        $commandLine->run('publish.php', ['news', 'event'], $settings, ['user' => 'www-data']);

        $folder = "$temporary/php-sse-" . posix_getpwnam('www-data')['uid'];
        self::assertSame('40700', decoct(fileperms($folder)));
        self::assertSame('140600', decoct(fileperms("$folder/hub.sock")));
    }

    /** Attack: a local user who can reach the socket's file publishes to another user's visitors. */
    public function testAStrangerWhoReachesTheSocketIsTurnedAway(): void
    {
        $commandLine = $this->commandLine();
        chown($commandLine->hubFolder, 'www-data');
        chmod($commandLine->hubFolder, 0755);
        $commandLine->startHub([], ['user' => 'www-data']);
        chmod($commandLine->socket(), 0666);

        $said = $commandLine->run('publish.php', ['news', 'event'], [], ['user' => self::STRANGER], 1);

        self::assertMatchesRegularExpression('/^Sse\w+: /', $said);
        self::assertSame(0, json_decode($commandLine->run('stats.php'), true)['published']);
    }

    public function testAMemberOfTheGroupPublishesToTheVisitorsOfTheWebServer(): void
    {
        // One php.ini for both: that the hub is shared is what lets the publisher trust another user's folder.
        $shared = ['sse.socket_mode' => '0660', 'sse.socket_group' => 'www-data'];
        $server = $this->serve('nginx-fpm-unix', $shared);
        chmod($server->hubFolder, 0750);
        $stream = $server->client->openOne('/stream.php?topics=news');
        $commandLine = $this->commandLine(['sse.socket' => $server->socket(), 'sse.spawn' => 'off'] + $shared);

        $commandLine->run(
            'publish.php',
            ['news', 'from cron'],
            [],
            ['user' => self::STRANGER, 'groups' => 'www-data'],
        );

        self::assertSame(['from cron'], $server->client->awaitEvents($stream, 1));

        // It does not read what all sites of that user do, and is told where it could.
        $said = $commandLine->run(
            'try { sse_stats(); } catch (SseException $e) { echo $e::class, ": ", $e->getMessage(); }',
            [],
            [],
            ['user' => self::STRANGER, 'groups' => 'www-data'],
        );
        self::assertMatchesRegularExpression(
            '/^SseException: this hub belongs to user \d+; user \d+, whom .* may not read its counters; for that set sse\.socket/',
            $said,
        );
    }

    public function testRootPublishesToTheVisitorsOfTheWebServer(): void
    {
        $server = $this->serve('nginx-fpm-unix');
        $stream = $server->client->openOne('/stream.php?topics=news');
        $commandLine = $this->commandLine(['sse.socket' => $server->socket(), 'sse.spawn' => 'off']);

        $commandLine->run('publish.php', ['news', 'from root']);

        self::assertSame(['from root'], $server->client->awaitEvents($stream, 1));
    }

    /** @param resource $listener */
    private static function assertNothingHasConnected($listener): void
    {
        $waiting = [$listener];
        $none = null;
        self::assertSame(0, stream_select($waiting, $none, $none, 0), 'a connection waits at the trap');
    }
}
