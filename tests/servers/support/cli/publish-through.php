<?php

declare(strict_types=1);

// usage: php publish-through.php ADDRESS TOPIC FILE MICROSECONDS
// Publishes 1, 2, 3 … so far apart by requests to http://ADDRESS/publish.php until the file is there, and prints how many those were.
// Ends with 1 at the first that is not answered as it should be.
[, $address, $topic, $file, $pause] = $argv;
for ($count = 0; !file_exists($file); clearstatcache()) {
    $content = http_build_query(['topic' => $topic, 'data' => (string) ++$count]);
    $header = 'Content-Type: application/x-www-form-urlencoded';
    $options = ['method' => 'POST', 'header' => $header, 'content' => $content, 'ignore_errors' => true, 'timeout' => 60];
    $answer = file_get_contents("http://$address/publish.php", false, stream_context_create(['http' => $options]));
    if (!isset(json_decode((string) $answer, true)['ids'])) {
        echo "$count: ", $answer === false ? 'no answer' : $answer, "\n";
        exit(1);
    }
    usleep((int) $pause);
}
echo $count;
