<?php

declare(strict_types=1);

// A stream without the extension: this worker belongs to it, and looks again and again whether there is something new.
// ?poll=2 says after how many seconds; ?topic=news what to look for.
[$topic, $poll] = [$_GET['topic'] ?? 'bench', (int) ($_GET['poll'] ?? 2)];

set_time_limit(0);
header('Content-Type: text/event-stream');
header('Cache-Control: no-cache');
header('X-Accel-Buffering: no');
while (ob_get_level() > 0) {
    ob_end_clean();
}

$database = new PDO('sqlite:' . $_SERVER['LOOP_DATABASE'], options: [PDO::ATTR_TIMEOUT => 5]);
$newest = $database->prepare('SELECT coalesce(max(id), 0) FROM event WHERE topic = ?');
$newest->execute([$topic]);
$seen = (int) ($_SERVER['HTTP_LAST_EVENT_ID'] ?? $newest->fetchColumn());
// Else it would go on to see the database as it was then.
$newest->closeCursor();
$later = $database->prepare('SELECT id, data FROM event WHERE topic = ? AND id > ? ORDER BY id');

// The headers, and a comment, so that the client knows at once that it is connected.
echo ":\n\n";
flush();
while (!connection_aborted()) {
    $later->execute([$topic, $seen]);
    foreach ($later->fetchAll(PDO::FETCH_ASSOC) as ['id' => $seen, 'data' => $data]) {
        echo "id: $seen\ndata: $data\n\n";
    }
    // A client that has gone is noticed only by writing to it.
    echo ":\n\n";
    flush();
    sleep($poll);
}
