<?php

declare(strict_types=1);

// Installs WordPress, as its own page of installation does. It lies in the folder of the site.

define('WP_INSTALLING', true);

/** In place of a letter to the owner. */
function wp_new_blog_notification(): void
{
}

// wp-config.php, but not yet the site, which needs the database.
preg_match_all("/'(DB_\w+)', '([^']*)'/", (string) file_get_contents(__DIR__ . '/wp-config.php'), $found);
$settings = array_combine($found[1], $found[2]);
$socket = explode(':', $settings['DB_HOST'])[1];
(new mysqli('localhost', $settings['DB_USER'], '', '', 0, $socket))->query("CREATE DATABASE {$settings['DB_NAME']}");

require __DIR__ . '/wp-load.php';
require ABSPATH . 'wp-admin/includes/upgrade.php';
wp_install('Shop', 'alice', 'alice@example.org', true, '', 'secret');
echo 'installed';
