<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\MariaDb;
use PhpSse\Tests\Server\Server;
use PhpSse\Tests\Support\Page;

/** The recipe for WordPress, as it is written there, in Debian's WordPress with a database. */
final class WordPressTest extends FrameworkTestCase
{
    private const PAGE = 'docs/guide/recipes/wordpress.md';
    private const AJAX = '/wordpress/wp-admin/admin-ajax.php?action=';
    private static ?MariaDb $database = null;

    public static function tearDownAfterClass(): void
    {
        self::$database?->stop();
        self::$database = null;
    }

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each(self::SERVERS);
    }

    /** @dataProvider servers */
    public function testAUserSeesWhatBelongsToTheUserAndNothingAfterTheLogout(string $name): void
    {
        $server = $this->serveWordPress($name);
        $alice = self::login($server);
        $stream = $server->client->openOne(self::AJAX . 'orders_stream', $alice);
        $server->client->awaitEvents($stream, 1);

        self::assertSame('0', $server->client->request(self::AJAX . 'orders_stream')->body);
        $server->client->request(self::AJAX . 'order&user=1&count=7');

        self::assertSame(['{"count":0}', '{"count":7}'], $server->client->awaitEvents($stream, 2));
        self::assertSame('orders', $stream->parser->events[1]->name);
        $server->client->request(self::AJAX . 'log_out');
        $server->client->request(self::AJAX . 'order&user=1&count=8');
        // admin-ajax answers 400 to who is not logged in: the script's decision.
        $server->client->await($stream, static fn (Stream $s): bool => $s->ended, 20.0, 'the stream has ended');
        self::assertCount(2, $stream->data());
    }

    public function testTheRestApiGivesAStreamToAll(): void
    {
        $server = $this->serveWordPress('nginx-fpm-unix');

        $stream = $server->client->openOne('/wordpress/index.php?rest_route=/shop/v1/news');
        $server->publish('news', 'open on Sunday');

        self::assertSame(['open on Sunday'], $server->client->awaitEvents($stream, 1));
    }

    private function serveWordPress(string $name): Server
    {
        self::$database ??= new MariaDb();
        $server = $this->serveApplications($name, options: ['modules' => 'mysqlnd,mysqli']);
        $site = "{$server->folder->path}/app/wordpress";
        exec('cp -a /usr/share/wordpress ' . escapeshellarg($site), $output, $code);
        self::assertSame(0, $code);
        unlink("$site/wp-config.php");
        $here = __DIR__ . '/applications/wordpress';
        $settings = ['@database@' => "shop{$server->port}", '@socket@' => self::$database->socket];
        $server->folder->file(
            'app/wordpress/wp-config.php',
            strtr((string) file_get_contents("$here/wp-config.php"), $settings),
        );
        $server->folder->copy("$here/install.php", 'app/wordpress/install.php');
        ['php' => [$ajax]] = Page::blocks(self::PAGE, 'admin-ajax');
        ['php' => [$rest]] = Page::blocks(self::PAGE, 'The REST API');
        ['php' => [$change]] = Page::blocks(self::PAGE, 'Where something changes');
        is_dir("$site/wp-content/mu-plugins") || mkdir("$site/wp-content/mu-plugins");
        $server->folder->file('app/wordpress/wp-content/mu-plugins/live.php', <<<PHP
            <?php
            $ajax
            $rest
            add_action('wp_ajax_nopriv_order', function () {
                ['user' => \$user, 'count' => \$count] = \$_GET;
                $change
            });
            add_action('wp_ajax_nopriv_log_out', fn () => WP_Session_Tokens::get_instance(1)->destroy_all());
            PHP);
        $installed = $server->client->request('/wordpress/install.php');
        self::assertSame('installed', $installed->body, $installed->summary());

        return $server;
    }

    /** @return array<string, string> the cookies of the user who has installed it */
    private static function login(Server $server): array
    {
        $fields = http_build_query(['log' => 'alice', 'pwd' => 'secret']);
        $response = $server->client->request('/wordpress/wp-login.php', [], 'POST', $fields);
        $cookies = $response->headers['set-cookie'] ?? '';
        preg_match_all('/wordpress_(?:logged_in_)?[0-9a-f]{32}=[^;]+/', $cookies, $found);
        $own = array_unique($found[0]);
        self::assertCount(2, $own, $cookies);

        return ['Cookie' => implode('; ', $own)];
    }
}
