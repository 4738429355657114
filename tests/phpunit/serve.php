<?php

declare(strict_types=1);

// usage: php tests/phpunit/serve.php SERVER [setting=value ...]
// Starts one of the suite's servers (Server/Catalogue.php), prints its address and the hub's socket as a line of JSON,
// and stops it when standard input ends. For tests in other languages, and for a look by hand.

use PhpSse\Tests\Server\Catalogue;

require __DIR__ . '/bootstrap.php';

$ini = [];
foreach (array_slice($argv, 2) as $setting) {
    [$name, $value] = explode('=', $setting, 2);
    $ini[$name] = $value;
}
$server = Catalogue::make($argv[1] ?? '', $ini);
register_shutdown_function(static function () use ($server): void {
    $server->stop();
    $server->folder->remove();
});
$server->start();
$about = ['url' => $server->url(), 'socket' => $server->socket(), 'folder' => $server->folder->path];
echo json_encode($about, JSON_UNESCAPED_SLASHES | JSON_THROW_ON_ERROR), "\n";
while (!feof(STDIN)) {
    fgets(STDIN);
}
