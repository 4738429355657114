<?php

declare(strict_types=1);

// Begins a session for `user`; without one, ends the visitor's session.
session_start();
if (isset($_GET['user'])) {
    $_SESSION['user'] = (int) $_GET['user'];
} else {
    $_SESSION = [];
    session_destroy();
}
echo session_id();
