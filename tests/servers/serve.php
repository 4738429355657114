<?php

declare(strict_types=1);

// usage: php tests/servers/serve.php SERVER [setting=value ...] [--modules=NAME,...] [--applications]
// Starts one of the suite's servers (support/Server/Catalogue.php), prints its address and the hub's socket as a line of JSON,
// and stops it when standard input ends. A line "stop" or "start" there does so with PHP-FPM alone, and "done" is printed. For
// tests in other languages, and for a look by hand. With --applications it has those of frameworks/applications in /frameworks/.

use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\FpmServer;

require __DIR__ . '/bootstrap.php';

$ini = $options = [];
foreach (array_slice($argv, 2) as $setting) {
    [$name, $value] = explode('=', $setting, 2) + [1 => ''];
    if (str_starts_with($name, '--')) {
        $options[substr($name, 2)] = $value;
    } else {
        $ini[$name] = $value;
    }
}
$applications = isset($options['applications']);
unset($options['applications']);
$server = Catalogue::make($argv[1] ?? '', $ini, $options);
register_shutdown_function(static function () use ($server): void {
    $server->stop();
    $server->folder->remove();
});
$server->start();
if ($applications) {
    $server->folder->copy(__DIR__ . '/frameworks/applications', 'app/frameworks');
    $server->folder->copy(dirname(__DIR__, 2) . '/php/src', 'library');
}
$about = ['url' => $server->url(), 'socket' => $server->socket(), 'folder' => $server->folder->path];
echo json_encode($about, JSON_UNESCAPED_SLASHES | JSON_THROW_ON_ERROR), "\n";
// Node gives a socket, at which PHP waits for a minute at a time.
while (!feof(STDIN)) {
    $line = fgets(STDIN);
    if ($line !== false && $server instanceof FpmServer) {
        match (trim($line)) {
            'stop' => $server->stopFpm(),
            'start' => $server->startFpm(),
        };
        echo "done\n";
    }
}
