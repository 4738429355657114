<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Support\Proc;

/** A command line that would start a hub beside the one that the web server uses. Needs root, to be several users. */
final class OtherHubTest extends ServerTestCase
{
    private const PUBLISH = 'try { echo sse_publish("news", "lost") > 0 ? "published" : ""; } catch (SseException $e)'
        . ' { echo get_class($e), ": ", $e->getMessage(); }';

    protected function setUp(): void
    {
        if (posix_geteuid() !== 0) {
            self::markTestSkipped('root: only root can run programs as other users');
        }
    }

    public function testItSaysWhichHubTheWebServerUsesAndWhichOneItStarts(): void
    {
        $server = $this->serve('nginx-fpm-unix');
        $stream = $server->client->openOne('/stream.php?topics=news');
        $commandLine = $this->commandLine();
        $temporary = $commandLine->folder->folder('t', 01777);
        $settings = self::defaults($temporary);
        $own = "$temporary/php-sse-0/hub.sock";
        $www = posix_getpwnam('www-data')['uid'];

        $refused = $commandLine->run(self::PUBLISH, [], ['sse.other_hub' => 'refuse'] + $settings);
        self::assertStringStartsWith("SseUnavailable: no hub listens at $own, but the web server's PHP (php-fpm", $refused);
        self::assertStringContainsString(", user $www) has its hub at ", $refused);
        self::assertStringContainsString('sse.other_hub=refuse', $refused);
        self::assertSame([], Proc::listenersOn($own));

        self::assertSame('published', $commandLine->run(self::PUBLISH, [], $settings));
        $log = self::log($temporary);
        // Other sites of the machine may run, of the same user.
        self::assertMatchesRegularExpression("~sse: the web server's PHP \\(php-fpm\\S*, user $www\\) has its hub at /~", $log);
        self::assertStringContainsString("; this process starts another one at $own, and what is published there reaches none", $log);
        self::assertSame('published', $commandLine->run(self::PUBLISH, [], $settings));
        self::assertSame($log, self::log($temporary), 'the hub is there now, as somebody has wanted');

        self::assertSame('published', $commandLine->run(self::PUBLISH, [], ['sse.socket' => $server->socket()] + $settings));
        self::assertSame(['lost'], $server->client->awaitEvents($stream, 1));
        self::assertSame($log, self::log($temporary), 'a path that somebody has chosen is the right one');
        $quiet = ['sse.other_hub' => 'off', 'sse.namespace' => 'quiet'] + $settings;
        self::assertSame('published', $commandLine->run(self::PUBLISH, [], $quiet));
        self::assertSame($log, self::log($temporary));
        $commandLine->run(self::PUBLISH, [], ['sse.namespace' => 'other'] + $settings, ['user' => 'www-data']);
        self::assertSame($log, self::log($temporary), 'the web server\'s own user may have several');
    }

    /** What PrivateTmp=yes of systemd makes of a service and a login of the same user. */
    public function testItSaysThatTheSamePathIsAnotherFolder(): void
    {
        $commandLine = $this->commandLine();
        $temporary = $commandLine->folder->folder('t', 01777);
        $settings = self::defaults("$temporary");
        $settings['error_log'] = "{$commandLine->folder->path}/log/php.log";
        self::assertSame('published', $commandLine->run(self::PUBLISH, [], $settings));
        // A web server of this machine may run, which it then tells of.
        $log = is_file($settings['error_log']) ? (string) file_get_contents($settings['error_log']) : '';
        self::assertStringNotContainsString('listens at the same path', $log);

        $hidden = $commandLine->run(self::PUBLISH, [], ['sse.other_hub' => 'refuse'] + $settings, ['without' => $temporary]);

        $same = "a hub of this user listens at the same path $temporary/php-sse-0/hub.sock where this process can't see it";
        self::assertStringContainsString($same, $hidden);
        self::assertStringContainsString('PrivateTmp', $hidden);
    }

    /** @return array<string, string|int> */
    private static function defaults(string $temporary): array
    {
        return ['sse.socket' => '', 'sys_temp_dir' => $temporary, 'log_errors' => 1, 'error_log' => "$temporary/php.log"];
    }

    private static function log(string $temporary): string
    {
        return (string) file_get_contents("$temporary/php.log");
    }
}
